import Foundation

/// How long a job has still to run, by what a seed took in it, or before that in the newest earlier run of the same experiment and scale.
struct TimeLeft: Sendable {
    private let seeds: Int
    private var secondsPerSeed: Double?
    private var seedsDone: Int = 0
    private var seedsMeasured: Int = 0
    /// When the first seed was begun, and when the seed at work was.
    private var begin: Date
    private var seedBegin: Date

    init(seeds: Int, earlierSecondsPerSeed: Double?, at time: Date) {
        self.seeds = seeds
        secondsPerSeed = earlierSecondsPerSeed
        (begin, seedBegin) = (time, time)
    }

    /// Seeds that an earlier run has measured take no time.
    mutating func resume(seedsDone: Int, at time: Date) {
        self.seedsDone = seedsDone
        (begin, seedBegin) = (time, time)
    }

    mutating func note(seedsDone: Int, at time: Date) {
        guard seedsDone > self.seedsDone else { return }
        seedsMeasured += seedsDone - self.seedsDone
        self.seedsDone = seedsDone
        seedBegin = time
        secondsPerSeed = time.timeIntervalSince(begin) / Double(seedsMeasured)
    }

    /// Nil while nothing is known, and when the seed at work takes longer than was thought.
    func seconds(at time: Date) -> Double? {
        guard let secondsPerSeed else { return nil }
        let left: Double = secondsPerSeed * Double(seeds - seedsDone) - time.timeIntervalSince(seedBegin)
        return left > 0 ? left : nil
    }
}
