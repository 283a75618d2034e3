import NN
import Torch

/// A baseline for whole sequences: gated recurrent units over the raw input, mean over time, linear head.
public final class GRUClassifier: Module {
    public let recurrence: GRU
    public let head: Linear
    private let pool: MeanPool = MeanPool()

    public init(_ inputDimensions: Int, classes: Int, hiddenDimensions: Int, layers: Int = 1, generator: RandomGenerator? = nil) {
        recurrence = GRU(inputDimensions, hiddenDimensions, layers: layers, generator: generator)
        head = Linear(hiddenDimensions, classes, generator: generator)
        super.init()
    }

    /// `[B, T, D]` to logits `[B, classes]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { head(pool(recurrence(x))) }
}
