import NN
import SequenceModels
import Torch

/// A mixer that shows its input to an observer before it hands it on.
final class ObservedMixer: Module, SequenceMixer {
    private let base: any SequenceMixer
    private let observe: (Tensor) -> Void

    init(_ base: any SequenceMixer, observe: @escaping (Tensor) -> Void) {
        self.base = base
        self.observe = observe
        super.init()
    }

    var isCausal: Bool { base.isCausal }
    var stepUsesPosition: Bool { base.stepUsesPosition }

    func initialState(batch: Int, dtype: DType, device: Device) -> MixerState {
        base.initialState(batch: batch, dtype: dtype, device: device)
    }

    func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        observe(x)
        return base(x, mask: mask, state: &state, mode: mode)
    }

    func stateBytes(batch: Int, length: Int) -> Int { base.stateBytes(batch: batch, length: length) }
}

extension Module {
    /// The mixers of a type that can be replaced, with their dotted paths, in the order of the forward pass.
    func mixers<Mixer: SequenceMixer>(_: Mixer.Type) -> [(path: String, mixer: Mixer)] {
        namedModules().compactMap { path, module in (module as? Mixer).map { (path, $0) } }
    }

    /// Runs `body` without gradients while every input `[B, T, D]` of these mixers is shown to `observe`, with the number of the mixer.
    func observing<Mixer: SequenceMixer>(
        _ mixers: [(path: String, mixer: Mixer)], observe: (Int, Tensor) -> Void, during body: () throws -> Void
    ) rethrows {
        try withoutActuallyEscaping(observe) { observe in
            for (index, entry) in mixers.enumerated() {
                replaceModule(at: entry.path, with: ObservedMixer(entry.mixer) { observe(index, $0) })
            }
            defer { for entry in mixers { replaceModule(at: entry.path, with: entry.mixer) } }
            try noGrad(body)
        }
    }
}

extension MultiHeadAttention {
    /// Queries `[B, T, HQ, K]` of `[B, T, D]`, turned by the positions `[T]` or `[B, T]`, or by those from `offset`.
    func queries(_ x: Tensor, offset: Int = 0, positions: Tensor? = nil) -> Tensor {
        turned(queryProjection(x), heads: configuration.heads, offset, positions)
    }

    /// Keys `[B, T, H, K]`, turned likewise.
    func keys(_ x: Tensor, offset: Int = 0, positions: Tensor? = nil) -> Tensor {
        turned(keyProjection(x), heads: configuration.keyValueHeads, offset, positions)
    }

    /// Values `[B, T, H, K]`.
    func values(_ x: Tensor) -> Tensor { valueProjection(x).reshaped(x.dim(0), x.dim(1), configuration.keyValueHeads, -1) }

    private func turned(_ projected: Tensor, heads: Int, _ offset: Int, _ positions: Tensor?) -> Tensor {
        let split: Tensor = projected.reshaped(projected.dim(0), projected.dim(1), heads, -1)
        return rotary.map { $0(split, offset: offset, positions: positions) } ?? split
    }

    /// Query heads that read one head of keys and values.
    var queriesPerHead: Int { configuration.heads / configuration.keyValueHeads }
}
