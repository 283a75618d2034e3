import NN
import Torch

/// Which memories each token goes to.
public struct MemoryRouting {
    /// `[B, T, N]`, float32 or wider.
    public let logits: Tensor
    /// Softmax of all logits, `[B, T, N]`.
    public let probabilities: Tensor
    /// The k memories of each token by falling probability, `[B, T, k]` (int64).
    public let indices: Tensor
    /// Their probabilities divided by their sum, `[B, T, k]`.
    public let weights: Tensor
}

/// Sends each token to the `topK` of N memories that a linear map gives the largest logits (Du et al., 2025, *MoM: Linear Sequence Modeling
/// with Mixture-of-Memories*, section 3).
public final class MemoryRouter: Module {
    /// D to N, without a bias.
    @ModuleInfo(key: "") public var projection: Linear
    public let topK: Int

    /// Traps unless `topK` is between 1 and the number of memories.
    public init(dimensions: Int, memories: Int, topK: Int, generator: RandomGenerator? = nil) {
        precondition((1...max(memories, 1)).contains(topK) && memories > 0, "a token cannot go to \(topK) of \(memories) memories")
        self.topK = topK
        super.init()
        projection = Linear(dimensions, memories, bias: false, generator: generator)
    }

    public var memories: Int { projection.outputDimensions }

    /// Routes tokens `[B, T, D]`. Logits are computed in float32 at least, so that 16-bit activations do not blur the choice.
    public func callAsFunction(_ x: Tensor) -> MemoryRouting {
        let precision: DType = x.dtype.accumulator
        let logits: Tensor = linear(x.asType(precision), weight: projection.weight.asType(precision), bias: nil)
        let probabilities: Tensor = logits.softmax()
        let (values, indices): (Tensor, Tensor) = probabilities.topK(topK)
        return MemoryRouting(
            logits: logits, probabilities: probabilities, indices: indices, weights: values / values.sum(axis: -1, keepDims: true))
    }
}

/// How evenly tokens were spread over memories, summed over tokens so that calls can be added up.
public struct RoutingBalance {
    /// Tokens sent to each memory, `[N]`; without a gradient.
    public let selections: Tensor
    /// Sums of the probabilities before the choice, `[N]`.
    public let probabilities: Tensor
    /// Tokens routed, `[]`.
    public let tokens: Tensor

    /// - Parameters:
    ///   - routing: of `[B, T]` tokens.
    ///   - mask: `[B, T]`, 1 for the tokens that count.
    public init(_ routing: MemoryRouting, mask: Tensor? = nil) {
        let memories: Int = routing.probabilities.dim(2)
        let chosen: Tensor = routing.indices.oneHot(memories).sum(axis: 2).asType(routing.probabilities.dtype)
        selections = chosen.masked(by: mask).sum(axes: [0, 1])
        probabilities = routing.probabilities.masked(by: mask).sum(axes: [0, 1])
        tokens = routing.probabilities.detached().masked(by: mask).sum()
    }

    private init(selections: Tensor, probabilities: Tensor, tokens: Tensor) {
        self.selections = selections
        self.probabilities = probabilities
        self.tokens = tokens
    }

    /// Several calls, such as those of a model's layers, as one.
    public static func + (left: RoutingBalance, right: RoutingBalance) -> RoutingBalance {
        RoutingBalance(
            selections: left.selections + right.selections, probabilities: left.probabilities + right.probabilities,
            tokens: left.tokens + right.tokens)
    }

    /// `N · Σ_slot Σ_m f_slot,m P_m` with f the share of tokens whose slot went to memory m and P the mean probability: k (the memories of a
    /// token) when all is even, N when all tokens have all their probability on the same k.
    public var loss: Tensor {
        Tensor(Double(selections.dim(0)), dtype: selections.dtype, device: selections.device)
            * ((selections / tokens) * (probabilities / tokens)).sum()
    }

    /// Each memory's share of all choices; the shares sum to 1.
    public var shares: [Double] { (selections / selections.sum()).array(Double.self) }
}
