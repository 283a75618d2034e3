import Experiments
import Foundation
import LinnetWeb

/// Stands in for the queue: jobs do what a test says.
actor FakeRunner: JobRunner {
    struct Full: Error, CustomStringConvertible {
        let description: String = "2 runs are waiting already"
    }

    private var known: [Job] = []
    private var listeners: [String: [AsyncStream<Job>.Continuation]] = [:]
    private(set) var isShutDown: Bool = false

    func submit(slug: String, scale: Scale) throws -> String {
        guard known.count(where: \.isActive) < 2 else { throw Full() }
        let job: Job = Job(id: String(known.count + 1), slug: slug, scale: scale, seeds: 2)
        known.append(job)
        return job.id
    }

    func cancel(_ id: String) { change(id) { $0.state = .cancelled } }

    func jobs() -> [Job] { known }

    func states(of id: String) -> AsyncStream<Job>? {
        guard let job = known.first(where: { $0.id == id }) else { return nil }
        let (stream, continuation): (AsyncStream<Job>, AsyncStream<Job>.Continuation) = AsyncStream.makeStream()
        continuation.yield(job)
        if job.isActive { listeners[id, default: []].append(continuation) } else { continuation.finish() }
        return stream
    }

    func shutDown() { isShutDown = true }

    var hasListener: Bool { !listeners.isEmpty }

    func change(_ id: String, _ body: (inout Job) -> Void) {
        guard let index = known.firstIndex(where: { $0.id == id }) else { return }
        body(&known[index])
        for listener in listeners[id] ?? [] {
            listener.yield(known[index])
            if !known[index].isActive { listener.finish() }
        }
    }
}
