import Foundation
import Synchronization
import Torch

extension ProcessGroup {
    /// The members of a group whose "processes" are threads of this one, in the order of their ranks.
    ///
    /// Each has to be used on a thread of its own, since every operation waits for all. ``onThreads(_:timeout:_:)`` does that too.
    /// - Parameters:
    ///   - worldSize: number of members.
    ///   - timeout: seconds after which an operation fails.
    /// - Throws: ``DistributedError``.
    public static func inProcess(worldSize: Int, timeout: Double = 60) throws -> [ProcessGroup] {
        precondition(worldSize > 0, "a group of \(worldSize)")
        let store: RendezvousStore
        do { store = try RendezvousStore.inMemory() } catch { throw DistributedError.unavailable("\(error)") }
        return try concurrently(worldSize) { rank in try ProcessGroup(store: store, rank: rank, worldSize: worldSize, timeout: timeout) }
    }

    /// Runs `body` once a member of a group, each on its own thread of this process, and gives the results in the order of the ranks.
    ///
    /// An operator uses one thread meanwhile. Where several members fail, the error of one that did not merely lose another is thrown.
    /// - Parameters:
    ///   - worldSize: number of members.
    ///   - timeout: seconds after which an operation fails.
    ///   - body: what each does.
    public static func onThreads<Result: Sendable>(
        _ worldSize: Int, timeout: Double = 60, _ body: @escaping @Sendable (ProcessGroup) throws -> Result
    ) throws -> [Result] {
        // The number of an operator's threads is a thread's own, but new threads start with the last that was set.
        let before: Int = Threads.count
        defer { Threads.count = before }
        let groups: [ProcessGroup] = worldSize == 1 ? [.single] : try inProcess(worldSize: worldSize, timeout: timeout)
        return try concurrently(worldSize) { rank in
            // Asked first: a thread that never was takes over the last number set by any thread when its first operator runs, and ranks with several
            // numbers of threads would round apart.
            _ = Threads.count
            Threads.count = 1
            return try body(groups[rank])
        }
    }

    private static func concurrently<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Result
    ) throws -> [Result] {
        let outcomes: Outcomes<Result> = Outcomes(count)
        for rank in 0..<count {
            let thread: Thread = Thread { outcomes.set(rank, Swift.Result { try body(rank) }) }
            thread.stackSize = 16 << 20
            thread.name = "rank \(rank)"
            thread.start()
        }
        return try outcomes.wait()
    }
}

/// Collects what threads give, one place each.
private final class Outcomes<Value: Sendable>: Sendable {
    private let values: Mutex<[Result<Value, any Error>?]>
    private let finished: DispatchSemaphore = DispatchSemaphore(value: 0)
    private let count: Int

    init(_ count: Int) {
        self.count = count
        values = Mutex(Array(repeating: nil, count: count))
    }

    func set(_ place: Int, _ value: Result<Value, any Error>) {
        values.withLock { $0[place] = value }
        finished.signal()
    }

    func wait() throws -> [Value] {
        for _ in 0..<count { finished.wait() }
        let all: [Result<Value, any Error>] = values.withLock { $0.compactMap(\.self) }
        let failures: [any Error] = all.compactMap { if case .failure(let error) = $0 { error } else { nil } }
        if let cause = failures.first(where: { !($0 is DistributedError) }) ?? failures.first { throw cause }
        return try all.map { try $0.get() }
    }
}
