import NN
import SequenceModels
import Torch

/// The rank of attention maps: layers whose maps have a low rank mix little between tokens, and many tokens may pass them by (Luo et al., 2024, *γ-MoD:
/// Exploring Mixture-of-Depth Adaptation for Multimodal Large Language Models*).
public enum ARank {
    /// Numerical ranks `[...]` (int64) of attention maps `[..., T, T]` without their diagonals: singular values above `T ε` times the largest, with the
    /// ε of float32.
    ///
    /// A causal map with its positive diagonal is never singular, whatever it does between tokens; that is why the diagonal is taken out.
    public static func rank(of maps: Tensor) -> Tensor {
        let wide: Tensor = maps.asType(.float64)
        let values: Tensor = (wide - wide.diagonal().diagonalEmbedded()).singularValues()
        let tolerance: Double = Double(maps.dim(-1)) * Double(Float.ulpOfOne)
        return (values .> values.max(axis: -1, keepDims: true) * tolerance).asType(.int64).sum(axis: -1)
    }

    /// The mean rank over heads and samples of each softmax attention in a model, first layer first.
    /// - Parameters:
    ///   - model: with `SoftmaxAttention` in its layers.
    ///   - read: lets the model read samples, 50 or more.
    public static func compute(_ model: Module, reading read: () throws -> Void) rethrows -> [Double] {
        let layers: [(path: String, mixer: SoftmaxAttention)] = model.mixers(SoftmaxAttention.self)
        var sums: [Double] = layers.map { _ in 0 }
        var counts: [Int] = layers.map { _ in 0 }
        try model.observing(layers) { index, x in
            let ranks: Tensor = rank(of: layers[index].mixer.attention.maps(x))
            sums[index] += ranks.sum().item(Double.self)
            counts[index] += ranks.count
        } during: {
            try read()
        }
        return zip(sums, counts).map { $0 / Double(max($1, 1)) }
    }

    /// As ``compute(_:reading:)``, of texts `[B, T]` (int64).
    public static func compute(_ model: any CausalLanguageModel, samples: [Tensor]) -> [Double] {
        compute(model) { for tokens in samples { _ = model(tokens) } }
    }

    /// As ``compute(_:reading:)``, of images and texts.
    public static func compute(_ model: MultimodalDecoder, samples: [(patches: Tensor, tokens: Tensor)]) -> [Double] {
        compute(model) { for sample in samples { _ = model.hidden(patches: sample.patches, tokens: sample.tokens) } }
    }
}

extension MultiHeadAttention {
    /// Causal attention maps `[B, HQ, T, T]` of `[B, T, D]`.
    func maps(_ x: Tensor) -> Tensor {
        let repeatedKeys: Tensor = keys(x).repeated(queriesPerHead, axis: 2)
        let scores: Tensor = einsum("bthk,bshk->bhts", queries(x), repeatedKeys) / Double(configuration.headDimensions).squareRoot()
        guard let visible = causalMask(x.dim(1), x.dim(1), window: configuration.window, device: x.device) else { return scores.softmax() }
        return which(visible, scores, -Double.infinity).softmax()
    }
}

/// Which layers of a decoder become mixtures of depths.
public struct MoDPlan: Codable, Sendable, Equatable {
    public let layers: Int
    /// Layers that all tokens go through.
    public let keepDense: Set<Int>

    /// Traps for a layer that the decoder does not have.
    public init(layers: Int, keepDense: Set<Int>) {
        precondition(keepDense.allSatisfy((0..<layers).contains), "\(keepDense.sorted()) are not all among \(layers) layers")
        self.layers = layers
        self.keepDense = keepDense
    }

    /// Converts the layers of the lowest ranks; of equal ones the later.
    /// - Parameters:
    ///   - ranks: of each layer, see ``ARank``.
    ///   - converted: layers to convert.
    public init(ranks: [Double], converted: Int) {
        let order: [Int] = ranks.indices.sorted { ranks[$0] == ranks[$1] ? $0 > $1 : ranks[$0] < ranks[$1] }
        self.init(layers: ranks.count, keepDense: Set(order.dropFirst(converted)))
    }

    public var converted: [Int] { (0..<layers).filter { !keepDense.contains($0) } }
}
