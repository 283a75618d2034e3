/// Which layers of a stack are softmax attention instead of the stack's own mixer (DeltaNet, section 3.4).
public enum HybridPattern: Codable, Sendable, Equatable {
    /// Every `every`-th layer (the last of each group) attends to a sliding window of `window` keys.
    case slidingWindow(every: Int, window: Int)
    /// The named layers, counted from 0, attend to everything before.
    case globalAttention(layers: [Int])

    /// The paper's choice of global layers: the second and the one after the middle.
    public static func paperGlobalAttention(layers: Int) -> HybridPattern { .globalAttention(layers: [1, layers / 2 + 1]) }

    func mixer(ofLayer layer: Int, layers: Int, heads: Int) -> MixerConfiguration? {
        switch self {
        case .slidingWindow(let every, let window):
            layer % every == every - 1 ? MixerConfiguration(.softmax, heads: heads, window: window, rotary: true) : nil
        case .globalAttention(let chosen):
            chosen.contains(layer) ? MixerConfiguration(.softmax, heads: heads, rotary: true) : nil
        }
    }
}
