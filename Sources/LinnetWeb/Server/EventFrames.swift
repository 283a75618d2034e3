import Foundation
import NIOCore
import Synchronization

/// Server-sent events of a job.
enum EventFrames {
    /// The frames of a job's states, with a comment now and then: a visitor who has gone is noticed by writing only.
    static func stream(of states: AsyncStream<Job>, heartbeat: Double) -> AsyncStream<ByteBuffer> {
        let (frames, continuation): (AsyncStream<ByteBuffer>, AsyncStream<ByteBuffer>.Continuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingNewest(64))
        let forward: Task<Void, Never> = Task {
            for await job in states { continuation.yield(frame(JobView(job))) }
            continuation.finish()
        }
        let beat: Task<Void, Never> = Task {
            while (try? await Task.sleep(for: .seconds(heartbeat))) != nil { continuation.yield(ByteBuffer(string: ":\n\n")) }
        }
        continuation.onTermination = { _ in
            forward.cancel()
            beat.cancel()
        }
        return frames
    }

    private static func frame(_ view: JobView) -> ByteBuffer {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json: Data = (try? encoder.encode(view)) ?? Data("{}".utf8)
        return ByteBuffer(string: "event: state\ndata: \(String(decoding: json, as: UTF8.self))\n\n")
    }
}

/// Counts the open streams.
final class OpenStreams: Sendable {
    /// A place that is left once, whether or not the stream was ever read.
    final class Place: Sendable {
        private let isTaken: Mutex<Bool> = Mutex(true)
        private let release: @Sendable () -> Void

        init(release: @escaping @Sendable () -> Void) { self.release = release }

        func leave() {
            let wasTaken: Bool = isTaken.withLock { taken in
                defer { taken = false }
                return taken
            }
            if wasTaken { release() }
        }

        deinit { leave() }
    }

    private let limit: Int
    private let count: Mutex<Int> = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// Nil when all places are taken.
    func enter() -> Place? {
        let isAdmitted: Bool = count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        return isAdmitted ? Place { [weak self] in self?.count.withLock { $0 -= 1 } } : nil
    }
}
