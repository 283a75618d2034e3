import Torch

/// A table of vectors: integers `[...]` become `[..., D]`.
open class Embedding: Module, UnaryLayer {
    /// `[count, D]`
    public let weight: Tensor
    /// The row that stays at zero and is not trained.
    public let paddingIndex: Int?

    /// Rows start as N(0, 1).
    public init(_ count: Int, _ dimensions: Int, paddingIndex: Int? = nil, generator: RandomGenerator? = nil) {
        weight = .normal([count, dimensions], generator: generator)
        self.paddingIndex = paddingIndex
        super.init()
        clearPadding()
    }

    /// A table over a tensor that exists already and stays shared with whoever holds it. Traps unless it is a matrix.
    public init(weight: Tensor, paddingIndex: Int? = nil) {
        precondition(weight.ndim == 2, "Embedding: a weight of shape \(weight.shape)")
        self.weight = weight
        self.paddingIndex = paddingIndex
        super.init()
    }

    public var count: Int { weight.dim(0) }
    public var dimensions: Int { weight.dim(1) }

    open func callAsFunction(_ indices: Tensor) -> Tensor { embedding(indices, weight: weight, paddingIndex: paddingIndex) }

    /// Sets the row of the padding index to zero.
    func clearPadding() {
        guard let paddingIndex else { return }
        noGrad { weight.selected(axis: 0, index: paddingIndex).zero_() }
    }

    /// The table used as the weight of a linear layer, for a tied output head: `[..., D]` to `[..., count]`.
    open func asLinear(_ x: Tensor) -> Tensor { linear(x, weight: weight) }
}
