/// Which layers of a stack of linear mixers are softmax attention instead (Yang et al., 2024, section 4, hybrid models).
public enum HybridPattern: Sendable, Hashable, Codable {
    /// Attention to the last `window` tokens in every `every`-th layer: with 2, the second, the fourth and so on.
    case slidingWindow(every: Int, window: Int)
    /// Attention to all tokens in the given layers, counted from 0; the paper takes `[1, layers / 2]`.
    case globalAttention(layers: [Int])

    /// What a layer is.
    public enum Layer: Sendable, Hashable {
        case linear
        /// Softmax attention to the last `window` tokens, or to all with nil.
        case attention(window: Int?)
    }

    /// The paper's choice of global layers for a stack of this depth: the second, and the one after the middle.
    public static func globalAttention(depth: Int) -> HybridPattern { .globalAttention(layers: [1, depth / 2]) }

    /// What the layer at `index`, counted from 0, is. Traps for an `every` below 1.
    public func layer(at index: Int) -> Layer {
        switch self {
        case .slidingWindow(let every, let window):
            precondition(every > 0, "sliding-window attention in every \(every)-th layer")
            return (index + 1) % every == 0 ? .attention(window: window) : .linear
        case .globalAttention(let layers):
            return layers.contains(index) ? .attention(window: nil) : .linear
        }
    }
}
