import Foundation
import Training

/// A pole on a cart that is pushed left or right (Barto, Sutton and Anderson, 1983, with the numbers that became customary). Every step that the pole
/// stands is worth 1.
struct CartPole {
    /// Place, speed, angle and its speed.
    private(set) var state: [Float] = []
    private(set) var steps: Int = 0

    static let longest: Int = 200

    init(_ random: inout SplitMix64) {
        state = (0..<4).map { _ in Float(Double(random.next() >> 11) / Double(1 << 53) * 0.1 - 0.05) }
    }

    /// - Parameter action: 0 pushes left, 1 right.
    /// - Returns: whether the episode is over, and whether that is because the pole fell.
    mutating func step(_ action: Int) -> (ended: Bool, fell: Bool) {
        let (mass, poleMass, half, period): (Float, Float, Float, Float) = (1.1, 0.1, 0.5, 0.02)
        let force: Float = action == 1 ? 10 : -10
        let (x, speed, angle, turning): (Float, Float, Float, Float) = (state[0], state[1], state[2], state[3])
        let pushed: Float = (force + poleMass * half * turning * turning * sin(angle)) / mass
        let angular: Float = (9.8 * sin(angle) - cos(angle) * pushed) / (half * (4 / 3 - poleMass * cos(angle) * cos(angle) / mass))
        let linear: Float = pushed - poleMass * half * angular * cos(angle) / mass
        state = [x + period * speed, speed + period * linear, angle + period * turning, turning + period * angular]
        steps += 1
        let fell: Bool = abs(state[0]) > 2.4 || abs(state[2]) > 12 * .pi / 180
        return (fell || steps >= Self.longest, fell)
    }
}
