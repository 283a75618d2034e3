import NN
import Torch

/// A layer of a decoder: a residual block around a mixer.
public protocol MixerBlock: Module {
    var mixer: any SequenceMixer { get }

    /// `[B, T, D]` to the same, continuing from and updating `state` where there is one.
    func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor

    /// One token, `[B, D]` to the same.
    func step(_ x: Tensor, state: inout MixerState) -> Tensor
}

/// `x += mixer(norm(x)); x += feedForward(norm(x))`, whose parts may be replaced.
public protocol PreNormBlock: MixerBlock {
    associatedtype Norm: UnaryLayer
    var attentionNorm: Norm { get }
    var feedForwardNorm: Norm { get }
    var feedForward: any UnaryLayer { get }
}

extension PreNormBlock {
    /// `[B, T, D]` to the same, continuing from and updating `state` where there is one.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?, mode: MixerMode? = nil) -> Tensor {
        let mixed: Tensor = x + mixer(attentionNorm(x), mask: mask, state: &state, mode: mode)
        return mixed + feedForward(feedForwardNorm(mixed))
    }

    /// One token, `[B, D]` to the same.
    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        let mixed: Tensor = x + mixer.step(attentionNorm(x), state: &state)
        return mixed + feedForward(feedForwardNorm(mixed))
    }
}

extension Array where Element: MixerBlock {
    /// `[B, T, D]` through all layers, each with its own state.
    package func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        var x: Tensor = x
        for (index, block) in enumerated() {
            var layerState: MixerState? = state?.layers[index]
            x = block(x, mask: mask, state: &layerState, mode: mode)
            if let layerState { state?.layers[index] = layerState }
        }
        return x
    }

    /// The stream before each layer and after the last one, `layers + 1` of `[B, T, D]`.
    package func residualStream(_ x: Tensor, mask: Tensor?) -> [Tensor] {
        reduce(into: [x]) { states, block in
            var none: MixerState?
            states.append(block(states[states.count - 1], mask: mask, state: &none, mode: nil))
        }
    }

    /// One token, `[B, D]`, through all layers.
    package func step(_ x: Tensor, state: inout LanguageModelState) -> Tensor {
        var x: Tensor = x
        for (index, block) in enumerated() { x = block.step(x, state: &state.layers[index]) }
        return x
    }

    /// The layers' states before the first token, for activations of `weight`'s type and device.
    package func initialState(batch: Int, like weight: Tensor) -> LanguageModelState {
        LanguageModelState(layers: map { $0.mixer.initialState(batch: batch, dtype: weight.dtype, device: weight.device) })
    }

    package func stateBytes(batch: Int, length: Int) -> Int { reduce(0) { $0 + $1.mixer.stateBytes(batch: batch, length: length) } }
}
