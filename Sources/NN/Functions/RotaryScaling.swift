import Foundation
import Torch

/// How a rotary embedding is slowed so that a model reads contexts longer than those it was trained on.
public enum RotaryScaling: Codable, Sendable, Hashable {
    /// Every frequency divided by a factor (position interpolation, arXiv 2306.15595).
    case linear(factor: Double)
    /// Llama 3.1's: wavelengths above `originalContext / lowFrequencyFactor` tokens are stretched by the factor, those below
    /// `originalContext / highFrequencyFactor` stay, and between the two the frequency is interpolated.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Int)

    /// The slowed frequencies, radians per position, of the plain ones `[R/2]`.
    func scaled(_ frequencies: Tensor) -> Tensor {
        switch self {
        case .linear(let factor): return frequencies / factor
        case .llama3(let factor, let low, let high, let context):
            // How many of a pair's turns fit into the original context.
            let turns: Tensor = frequencies * (Double(context) / (2 * Double.pi))
            let kept: Tensor = ((turns - low) / (high - low)).clamped(0, 1)
            return frequencies * kept + frequencies / factor * (1 - kept)
        }
    }
}
