import CTorch

/// How elements of several members become one.
public enum ReduceOperation: String, Sendable, CaseIterable {
    case sum
    case maximum
    case minimum

    var code: CTReduction {
        switch self {
        case .sum: CTSum
        case .maximum: CTMaximum
        case .minimum: CTMinimum
        }
    }
}

/// Collective operations of one member of a process group (c10d over gloo, and over NCCL for tensors on GPUs where libtorch and machine have it). `ProcessGroup` of the library `Training` is built on it; use that.
///
/// All members have to start the same operations in the same order. Safe to use from several threads as long as that order is kept.
public final class CollectiveBackend: Sendable {
    /// Whether this libtorch has what several processes need.
    public static var isAvailable: Bool { ct_distributed_available() }

    /// An operation and its tensors, all contiguous and on the CPU or, where ``takesGPU`` says so, on this process's GPU.
    public enum Operation {
        /// Changes the tensor in place.
        case allReduce(Tensor, ReduceOperation)
        /// Changes the tensor in place.
        case broadcast(Tensor, root: Int)
        /// One output for each rank, of the input's shape.
        case allGather(Tensor, outputs: [Tensor])
        /// One input for each rank, of the output's shape.
        case reduceScatter([Tensor], output: Tensor, ReduceOperation)
        /// One input and one output for each rank.
        case allToAll([Tensor], outputs: [Tensor])
        case send(Tensor, to: Int, tag: Int)
        case receive(Tensor, from: Int, tag: Int)
        case barrier
    }

    private nonisolated(unsafe) let handle: CTProcessGroup
    /// A group's connections are found through its store for as long as it lives.
    private let store: RendezvousStore

    /// Waits until all members have called.
    /// - Parameters:
    ///   - store: that the members share, with no other group under the same names.
    ///   - rank: of this member, from 0.
    ///   - worldSize: number of members.
    ///   - interface: name of the network interface, such as `eth0`; nil takes the one by which `peer` is reached.
    ///   - peer: a host that is reached over the network that the group is to use.
    ///   - timeout: after which an operation fails, in seconds.
    ///   - withGPUs: whether every member has a GPU of its own, so that tensors on them go from one to the other (NCCL).
    /// - Throws: ``TorchError`` where a member did not come, the interface is not there, or libtorch has no gloo.
    public init(
        store: RendezvousStore, rank: Int, worldSize: Int, interface: String? = nil, peer: String = "127.0.0.1", timeout: Double,
        withGPUs: Bool = false
    ) throws {
        var result: CTProcessGroup?
        let status: Int32 = ct_process_group(
            store.handle, Int32(rank), Int32(worldSize), interface, peer, milliseconds(timeout), withGPUs, &result)
        if status != 0 { throw TorchError.last("process group") }
        handle = result!
        self.store = store
    }

    deinit { ct_release_process_group(handle) }

    /// Whether tensors may be on a GPU.
    public var takesGPU: Bool { ct_process_group_takes_gpu(handle) }

    /// Starts an operation.
    /// - Throws: ``TorchError`` for tensors that the operation does not take, or where the group is broken already.
    public func start(_ operation: Operation) throws -> StartedCollective {
        var call: CTCollective = CTCollective()
        let (inputs, outputs): ([Tensor], [Tensor]) = operation.describe(in: &call)
        precondition((inputs + outputs).allSatisfy(\.isContiguous), "collectives take contiguous tensors")
        return try withHandles(inputs) { inputHandles in
            try withHandles(outputs) { outputHandles in
                call.inputs = inputHandles
                call.outputs = outputHandles
                call.inputCount = Int32(inputs.count)
                call.outputCount = Int32(outputs.count)
                var work: CTWork?
                if ct_collective(handle, &call, &work) != 0 { throw TorchError.last(operation.name) }
                return StartedCollective(work!, name: operation.name, tensors: inputs + outputs)
            }
        }
    }
}

extension CollectiveBackend.Operation {
    /// As messages name it.
    public var name: String {
        switch self {
        case .allReduce: "allReduce"
        case .broadcast: "broadcast"
        case .allGather: "allGather"
        case .reduceScatter: "reduceScatter"
        case .allToAll: "allToAll"
        case .send: "send"
        case .receive: "receive"
        case .barrier: "barrier"
        }
    }

    fileprivate func describe(in call: inout CTCollective) -> (inputs: [Tensor], outputs: [Tensor]) {
        switch self {
        case .allReduce(let tensor, let operation):
            (call.kind, call.reduction) = (CTAllReduce, operation.code)
            return ([], [tensor])
        case .broadcast(let tensor, let root):
            (call.kind, call.peer) = (CTBroadcast, Int32(root))
            return ([], [tensor])
        case .allGather(let tensor, let outputs):
            call.kind = CTAllGather
            return ([tensor], outputs)
        case .reduceScatter(let inputs, let output, let operation):
            (call.kind, call.reduction) = (CTReduceScatter, operation.code)
            return (inputs, [output])
        case .allToAll(let inputs, let outputs):
            call.kind = CTAllToAll
            return (inputs, outputs)
        case .send(let tensor, let peer, let tag):
            (call.kind, call.peer, call.tag) = (CTSend, Int32(peer), Int32(tag))
            return ([tensor], [])
        case .receive(let tensor, let peer, let tag):
            (call.kind, call.peer, call.tag) = (CTReceive, Int32(peer), Int32(tag))
            return ([], [tensor])
        case .barrier:
            call.kind = CTBarrier
            return ([], [])
        }
    }
}

/// An operation in flight. Its tensors stay alive until it is waited for or dropped, and must not be touched before.
public final class StartedCollective {
    private let handle: CTWork
    private let name: String
    private var tensors: [Tensor]

    init(_ handle: CTWork, name: String, tensors: [Tensor]) {
        self.handle = handle
        self.name = name
        self.tensors = tensors
    }

    deinit { ct_release_work(handle) }

    /// Whether it has ended, well or not.
    public var isDone: Bool { ct_work_is_done(handle) }

    /// Waits for the end.
    /// - Throws: ``TorchError`` where another member was lost or the group's timeout went by.
    public func wait() throws {
        defer { tensors = [] }
        if ct_work_wait(handle) != 0 { throw TorchError.last(name) }
    }
}
