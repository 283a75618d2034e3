import Dispatch
import Foundation
import Synchronization

/// Prepares batches on a thread of its own while the training thread works, in order, at most `depth` ahead.
///
/// The producer is a function of a position, such as `ShuffledIndices`, which it moves on:
///
///     let batches = Prefetcher(from: indices, depth: 2) { indices in corpus.batch(indices.nextBatch(32)) }
///     while let batch = try batches.next() { ... ; checkpoint.position = batches.position.state }
///
/// `position` is that of the batch last *consumed*, not of those prepared ahead, so it is what a checkpoint must hold.
public final class Prefetcher<Batch: Sendable, Position: Sendable>: Sendable {
    private let queue: Queue
    private let consumed: Mutex<Position>

    /// Starts preparing at once.
    ///
    /// - Parameters:
    ///   - position: where the producer starts.
    ///   - depth: how many batches may wait.
    ///   - produce: prepares the batch at the position and moves it on; nil ends the sequence, an error is thrown by `next`.
    public init(from position: Position, depth: Int = 2, produce: @escaping @Sendable (inout Position) throws -> Batch?) {
        precondition(depth > 0, "Prefetcher: a depth of \(depth)")
        consumed = Mutex(position)
        let queue = Queue(depth: depth)
        self.queue = queue
        // The thread holds the queue only: a Prefetcher that is dropped cancels it.
        let thread = Thread { Prefetcher.run(queue, from: position, produce) }
        thread.name = "linnet.prefetch"
        thread.start()
    }

    deinit { cancel() }

    /// The position behind the batch that `next` returned last.
    public var position: Position { consumed.withLock { $0 } }

    /// The next batch, waited for if need be; nil after the last one and after `cancel`. An error of the producer is thrown
    /// in its place in the order, and by every later call.
    ///
    /// One thread consumes: the position belongs to the batch that this call returns.
    public func next() throws -> Batch? {
        switch queue.take() {
        case .batch(let batch, let position):
            consumed.withLock { $0 = position }
            return batch
        case .failure(let error): throw error
        case .end: return nil
        }
    }

    /// Stops preparing. A batch in preparation is finished and dropped, in the background.
    public func cancel() { queue.cancel() }

    private static func run(_ queue: Queue, from start: Position, _ produce: (inout Position) throws -> Batch?) {
        var position = start
        while queue.waitForRoom() {
            do {
                guard let batch = try produce(&position) else { return queue.put(.end) }
                queue.put(.batch(batch, position))
            } catch {
                return queue.put(.failure(error))
            }
        }
    }
}

extension Prefetcher {
    private enum Item: Sendable {
        case batch(Batch, Position)
        case failure(any Error)
        case end
    }

    /// A bounded queue between the two threads. The semaphores count free places and waiting items; a cancelled queue raises
    /// both, so that neither thread sleeps for ever.
    private final class Queue: Sendable {
        private struct Contents {
            var items = [Item]()
            var cancelled = false
        }

        private let contents = Mutex(Contents())
        private let room: DispatchSemaphore
        private let waiting = DispatchSemaphore(value: 0)

        init(depth: Int) {
            // Created empty and raised, because a semaphore must not be freed below the value it was created with.
            room = DispatchSemaphore(value: 0)
            for _ in 0..<depth { room.signal() }
        }

        /// Waits for a free place; false once cancelled.
        func waitForRoom() -> Bool {
            room.wait()
            return !contents.withLock { $0.cancelled }
        }

        func put(_ item: Item) {
            contents.withLock { $0.items.append(item) }
            waiting.signal()
        }

        func take() -> Item {
            waiting.wait()
            let item: Item = contents.withLock { contents in
                guard !contents.cancelled, let first = contents.items.first else { return .end }
                if case .batch = first { contents.items.removeFirst() }
                return first
            }
            // What ends the sequence stays in the queue for every later call.
            if case .batch = item { room.signal() } else { waiting.signal() }
            return item
        }

        func cancel() {
            contents.withLock { contents in
                contents.cancelled = true
                contents.items.removeAll()
            }
            room.signal()
            waiting.signal()
        }
    }
}
