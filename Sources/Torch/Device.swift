import CTorch
import Synchronization

/// Where a tensor lives.
public struct Device: Hashable, Sendable, CustomStringConvertible {
    /// Device types; raw values are libtorch's own codes.
    public enum Kind: Int32, Sendable {
        case cpu = 0
        case cuda = 1
        case mps = 13
    }

    public let kind: Kind
    /// Which of several devices of the kind, or -1 for the current one.
    public let index: Int

    public init(_ kind: Kind, index: Int = -1) {
        self.kind = kind
        self.index = index
    }

    public static let cpu: Device = Device(.cpu)
    public static func cuda(_ index: Int = 0) -> Device { Device(.cuda, index: index) }
    public static let mps: Device = Device(.mps, index: 0)

    /// CUDA where there is one, then MPS, then the CPU; assign to override. New tensors are made here.
    public static var `default`: Device {
        get { chosen.withLock { $0 } }
        set { chosen.withLock { $0 = newValue } }
    }

    private static let chosen: Mutex<Device> = Mutex(best)

    private static var best: Device {
        if cudaCount > 0 { return .cuda() }
        return ct_mps_available() ? .mps : .cpu
    }

    /// Number of CUDA devices; 0 with a CPU build of libtorch.
    public static var cudaCount: Int { Int(ct_cuda_device_count()) }

    public var description: String {
        let name: String = "\(kind)"
        return index < 0 ? name : "\(name):\(index)"
    }

    var code: Int64 { Int64(kind.rawValue) << 8 | Int64(index + 1) }

    init(code: Int64) {
        self.init(Kind(rawValue: Int32(code >> 8)) ?? .cpu, index: Int(code & 0xff) - 1)
    }
}

/// Threads that libtorch uses inside one operator.
public enum Threads {
    public static var count: Int {
        get { Int(ct_threads()) }
        set { ct_set_threads(Int32(newValue)) }
    }
}

/// Version of the libtorch that is linked, such as "2.13.0".
public var libtorchVersion: String { String(cString: ct_version()) }
