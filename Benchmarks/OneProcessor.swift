import Foundation

/// Runs `body` with this thread, and the peers that it starts meanwhile, on one processor, so that sides that take turns see the same core:
/// processors of a shared machine differ in speed from moment to moment. Where the system has no such call it only runs `body`.
func onOneProcessor<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard let affinity = ProcessorAffinity(), let allowed = affinity.current() else { return try body() }
    affinity.set(ProcessorAffinity.lowest(of: allowed))
    defer { affinity.set(allowed) }
    return try body()
}

/// The calls that say on which processors a thread may run, which Glibc's Swift module leaves out.
private struct ProcessorAffinity {
    private typealias Get = @convention(c) (pid_t, Int, UnsafeMutableRawPointer) -> Int32
    private typealias Set = @convention(c) (pid_t, Int, UnsafeRawPointer) -> Int32
    private let getter: Get
    private let setter: Set

    init?() {
        guard let get = dlsym(nil, "sched_getaffinity"), let set = dlsym(nil, "sched_setaffinity") else { return nil }
        getter = unsafeBitCast(get, to: Get.self)
        setter = unsafeBitCast(set, to: Set.self)
    }

    /// A bit for each processor; 1024 of them, as in `cpu_set_t`.
    func current() -> [UInt8]? {
        var mask: [UInt8] = Array(repeating: 0, count: 128)
        return getter(0, mask.count, &mask) >= 0 ? mask : nil
    }

    func set(_ mask: [UInt8]) { _ = setter(0, mask.count, mask) }

    static func lowest(of mask: [UInt8]) -> [UInt8] {
        let first: Int? = mask.firstIndex { $0 != 0 }
        return mask.indices.map { $0 == first ? mask[$0] & (~mask[$0] &+ 1) : 0 }
    }
}
