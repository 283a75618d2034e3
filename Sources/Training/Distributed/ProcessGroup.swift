import Foundation
import Synchronization
import Torch

/// One member of a group of processes (or threads) that exchange tensors.
///
/// All members call the same operations in the same order. Tensors are contiguous and on the CPU, or where ``takesGPU`` says so on a GPU; `allReduce` and `broadcast` change them in
/// place. Every operation comes in two forms: `group.allReduce(gradient)` waits, and `try group.startAllReduce(gradient)` gives a ``CollectiveWork`` to
/// wait for, so that computing and sending overlap. A group of one does nothing, so that code runs unchanged on one process.
///
///     let group = try ProcessGroup.fromEnvironment()
///     try group.allReduce(gradient, .sum)
///
/// A group may be handed to another thread; used from several at once, the order of operations is the caller's business.
public final class ProcessGroup: Sendable {
    /// Of this member, from 0.
    public let rank: Int
    /// Number of members.
    public let worldSize: Int
    /// Seconds after which an operation fails.
    public let timeout: Double
    /// Rank among the processes of this machine.
    public let localRank: Int
    /// Nil for a group of one.
    private let members: Members?
    private let sent: Mutex<CommStats> = Mutex(CommStats())
    private let splits: Atomic<Int> = Atomic(0)

    /// What connects several members.
    private struct Members: Sendable {
        let backend: CollectiveBackend
        let store: RendezvousStore
        let interface: String?
        let peer: String
        let withGPUs: Bool
    }

    /// A group of one, whose operations do nothing.
    public static var single: ProcessGroup { ProcessGroup() }

    private init() {
        (rank, worldSize, localRank, timeout, members) = (0, 1, 0, .infinity, nil)
    }

    /// Joins a group; waits for the other members.
    /// - Parameters:
    ///   - store: that all members share and no other group uses.
    ///   - rank: of this member.
    ///   - worldSize: number of members.
    ///   - localRank: rank among the processes of this machine; nil is `rank`.
    ///   - interface: network interface; nil takes the one by which `peer` is reached.
    ///   - peer: a host on the group's network.
    ///   - timeout: seconds after which an operation fails.
    ///   - withGPUs: whether every member has a GPU of its own.
    /// - Throws: ``DistributedError``.
    public init(
        store: RendezvousStore, rank: Int, worldSize: Int, localRank: Int? = nil, interface: String? = nil, peer: String = "127.0.0.1",
        timeout: Double = 300, withGPUs: Bool = false
    ) throws {
        precondition(worldSize > 0 && (0..<worldSize).contains(rank), "rank \(rank) of \(worldSize)")
        precondition(timeout > 0, "a timeout of \(timeout) s")
        self.rank = rank
        self.worldSize = worldSize
        self.localRank = localRank ?? rank
        self.timeout = timeout
        guard worldSize > 1 else {
            members = nil
            return
        }
        do {
            let backend: CollectiveBackend = try CollectiveBackend(
                store: store, rank: rank, worldSize: worldSize, interface: interface, peer: peer, timeout: timeout, withGPUs: withGPUs)
            // One that needs its group no longer would hang up on another that is still connecting.
            try backend.start(.barrier).wait()
            members = Members(backend: backend, store: store, interface: interface, peer: peer, withGPUs: withGPUs)
        } catch {
            throw DistributedError.rendezvous(rank: rank, worldSize: worldSize, detail: "\(error)")
        }
    }

    /// Whether tensors may be on a GPU of this process (by NCCL). To wait for such an operation is to put what follows on this stream after it.
    public var takesGPU: Bool { members?.backend.takesGPU ?? true }

    // MARK: What was sent

    /// Operations and bytes of this rank so far; those of sub-groups are their own.
    public var stats: CommStats { sent.withLock { $0 } }

    /// Starts counting anew.
    public func resetStats() { sent.withLock { $0 = CommStats() } }

    // MARK: Sub-groups

    /// A group of some of the members, in the order of `ranks`. Every member has to call, with the same ranks.
    /// - Returns: nil for a member that is not among them.
    /// - Throws: ``DistributedError``.
    public func split(ranks: [Int]) throws -> ProcessGroup? {
        precondition(
            !ranks.isEmpty && Set(ranks).count == ranks.count && ranks.allSatisfy { (0..<worldSize).contains($0) },
            "the ranks \(ranks) of a sub-group of \(worldSize)")
        let number: Int = splits.wrappingAdd(1, ordering: .relaxed).newValue
        guard let place = ranks.firstIndex(of: rank) else { return nil }
        guard let members, ranks.count > 1 else { return .single }
        return try ProcessGroup(
            store: members.store.prefixed("split-\(number)-\(ranks.map(String.init).joined(separator: "."))"), rank: place,
            worldSize: ranks.count, localRank: localRank, interface: members.interface, peer: members.peer, timeout: timeout,
            withGPUs: members.withGPUs)
    }

    // MARK: Starting operations

    /// Starts an operation of `bytes` logical bytes; nil for a group of one.
    func start(_ operation: CollectiveBackend.Operation, bytes: Double) throws -> CollectiveWork {
        guard let members else { return CollectiveWork(nil, group: self, name: operation.name) }
        sent.withLock { $0 = $0 + CommStats(operations: 1, bytes: bytes) }
        do {
            return CollectiveWork(try members.backend.start(operation), group: self, name: operation.name)
        } catch {
            throw DistributedError.of(error, operation: operation.name, rank: rank, timeout: timeout)
        }
    }

    /// The share of the ranks that are not this one.
    var othersShare: Double { Double(worldSize - 1) / Double(worldSize) }
}

/// An operation in flight. The tensors that it reads or writes must not be touched before ``wait()``.
public final class CollectiveWork {
    private let started: StartedCollective?
    private let group: ProcessGroup
    private let name: String

    init(_ started: StartedCollective?, group: ProcessGroup, name: String) {
        self.started = started
        self.group = group
        self.name = name
    }

    /// Whether it has ended, well or not.
    public var isDone: Bool { started?.isDone ?? true }

    /// Waits for the end.
    /// - Throws: ``DistributedError`` where a member was lost or the group's timeout went by.
    public func wait() throws {
        do { try started?.wait() } catch {
            throw DistributedError.of(error, operation: name, rank: group.rank, timeout: group.timeout)
        }
    }
}
