import NN
import Torch

/// A baseline for whole sequences: a recurrent network (`GRU` or `LSTM`) over the raw input, mean over time, linear head.
public final class RecurrentClassifier<Recurrence: RecurrentStack & UnaryLayer>: Module {
    public let recurrence: Recurrence
    public let head: Linear
    private let pool: MeanPool = MeanPool()

    public init(_ recurrence: Recurrence, classes: Int, generator: RandomGenerator? = nil) {
        self.recurrence = recurrence
        head = Linear(recurrence.hiddenDimensions * (recurrence.bidirectional ? 2 : 1), classes, generator: generator)
        super.init()
    }

    /// `[B, T, D]` to logits `[B, classes]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { head(pool(recurrence(x))) }
}
