import Dispatch
import Synchronization

/// A request on its way through the engine.
struct Job: Sendable {
    let request: GenerationRequest
    let channel: TextChannel
    let arrival: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant
}

/// What the engine's thread and everybody else share: the queue, how many texts run, and whether the engine is to stop.
final class Inbox: Sendable {
    private struct State {
        var waiting: [Job] = []
        var running: Int = 0
        var refusesMore: Bool = false
        var abandons: Bool = false
        var hasEnded: Bool = false
    }

    private let state: Mutex<State> = Mutex(State())
    private let signal: DispatchSemaphore = DispatchSemaphore(value: 0)
    private let configuration: EngineConfiguration

    init(_ configuration: EngineConfiguration) { self.configuration = configuration }

    /// Queues all of the jobs or none.
    func submit(_ jobs: [Job]) throws(GenerationRefusal) {
        let refusal: GenerationRefusal? = state.withLock { state in
            if state.refusesMore { return .stopping }
            let free: Int = max(0, configuration.maximumConcurrent - state.running)
            guard state.waiting.count + jobs.count <= configuration.maximumQueue + free else {
                return .queueFull(limit: configuration.maximumQueue)
            }
            state.waiting += jobs
            return nil
        }
        if let refusal { throw refusal }
        wake()
    }

    /// Lets the engine's thread look around.
    func wake() { signal.signal() }

    /// Waits until somebody calls ``wake()``, at most for a time.
    func wait(atMost seconds: Double?) {
        guard let seconds else { return signal.wait() }
        _ = signal.wait(timeout: .now() + seconds)
    }

    /// No more requests are taken; those that are queued go on.
    func refuseMore() {
        state.withLock { $0.refusesMore = true }
        wake()
    }

    /// Everything that waits or runs is to end now.
    func abandon() {
        state.withLock { state in
            state.refusesMore = true
            state.abandons = true
        }
        wake()
    }

    /// Texts that wait, and texts that run.
    var load: (waiting: Int, running: Int) { state.withLock { ($0.waiting.count, $0.running) } }
    var refusesMore: Bool { state.withLock { $0.refusesMore } }
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    // MARK: The engine thread's side

    /// What the thread has to do beside the texts that it holds.
    struct Errand {
        /// Jobs that get a place.
        var admitted: [Job] = []
        /// Jobs whose reader has gone or whose time is over, before they had a place.
        var dropped: [Job] = []
        var abandons: Bool = false
        /// Nothing waits and nothing will come.
        var isLast: Bool = false
    }

    /// Takes from the queue what there are places for, with `running` texts held.
    func errand(running: Int, now: ContinuousClock.Instant) -> Errand {
        state.withLock { state in
            var errand: Errand = Errand(abandons: state.abandons)
            var staying: [Job] = []
            for job in state.waiting {
                if state.abandons || job.deadline <= now || job.channel.isClosed {
                    errand.dropped.append(job)
                } else {
                    staying.append(job)
                }
            }
            errand.admitted = Array(staying.prefix(max(0, configuration.maximumConcurrent - running)))
            state.waiting = Array(staying.dropFirst(errand.admitted.count))
            state.running = running + errand.admitted.count
            errand.isLast = state.refusesMore && state.waiting.isEmpty && state.running == 0
            state.hasEnded = errand.isLast
            return errand
        }
    }

    /// How many texts are held after a step.
    func report(running: Int) { state.withLock { $0.running = running } }
}
