import Torch

/// While training, zeros elements with a probability and divides the others by its complement; in evaluation the identity.
/// Draws from the device's shared stream of random numbers.
public final class Dropout: Module, UnaryLayer {
    public let probability: Double

    /// Traps outside `0 ... 1`.
    public init(_ probability: Double = 0.5) {
        precondition((0...1).contains(probability), "dropout with probability \(probability)")
        self.probability = probability
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        probability == 0 ? x : dropout(x, probability: probability, training: isTraining)
    }
}
