import Foundation

/// Measurements that take turns, so that both sides see the same machine.
enum Timing {
    /// Seconds of one run of `body`.
    static func seconds(iterations: Int = 1, _ body: () -> Void) -> Double {
        let elapsed: Duration = ContinuousClock().measure { for _ in 0..<iterations { body() } }
        return elapsed / .seconds(1) / Double(iterations)
    }

    static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    /// Medians of both sides after one run each to warm up. Slow cases end after one repetition more than `budget` seconds allow.
    static func inTurn(
        repetitions: Int, budget: Double = 5, own: () throws -> Double, peer: () throws -> Double
    ) rethrows -> (own: Double, peer: Double) {
        _ = (try own(), try peer())
        let start: ContinuousClock.Instant = .now
        var (mine, others): ([Double], [Double]) = ([], [])
        while mine.count < repetitions && (mine.isEmpty || start.duration(to: .now) < .seconds(budget)) {
            mine.append(try own())
            others.append(try peer())
        }
        return (median(mine), median(others))
    }
}
