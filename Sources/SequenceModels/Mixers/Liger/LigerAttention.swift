import NN
import Torch

/// Softmax attention turned into a gated recurrence without new parameters, beside attention to a short window (Lan et al., 2025, *Liger: Linearizing
/// Large Language Models to Gated Recurrent Structures*).
///
/// Queries, keys and values come from the projections of a trained attention. The gates are computed from the keys before rotary positions, which
/// the recurrence has none of; the window attention has them. The two branches are mixed before the output projection:
/// `o = W_o ((1 − mix) recurrence(q, k, v, γ) + mix window(q, k, v))` with `γ` the pooled keys. The state has a constant size.
///
/// Checkpoint names are Hugging Face's: `q_proj`, `k_proj`, `v_proj`, `o_proj`; a ``LigerGate/learned`` gate has `gate_proj` beside them.
public final class LigerAttention: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    @ModuleInfo(key: "gate_proj") public var gateProjection: (any LinearMap)?
    public let configuration: LigerConfiguration
    /// Heads, positions and sizes of the attention that this layer was made from.
    public let attention: AttentionConfiguration
    private let branch: WindowBranch

    public var isCausal: Bool { true }

    /// A layer that shares the projections of an attention. Traps for one that is not causal.
    public init(_ source: MultiHeadAttention, _ configuration: LigerConfiguration) {
        precondition(source.configuration.causal, "LigerAttention: the attention is not causal")
        self.configuration = configuration
        attention = source.configuration
        branch = WindowBranch(rotary: source.rotary, window: configuration.window)
        super.init()
        queryProjection = source.queryProjection
        keyProjection = source.keyProjection
        valueProjection = source.valueProjection
        outputProjection = source.outputProjection
        gateProjection = nil
        guard configuration.gate == .learned else { return }
        let gate: Linear = Linear(attention.dimensions, attention.keyValueHeads * attention.headDimensions, bias: false)
        gateProjection = gate
        Initializer.normal(standardDeviation: 0.02).fill(gate.weight)
        let like: Tensor = keyProjection.denseWeight()
        gate.to(dtype: like.dtype, device: like.device)
    }

    /// A layer with projections of its own, which start as N(0, 0.02²): for training from the beginning.
    public convenience init(
        dimensions: Int, heads: Int, keyValueHeads: Int? = nil, rotaryTheta: Double? = 10_000, _ configuration: LigerConfiguration,
        generator: RandomGenerator? = nil
    ) {
        let attention: AttentionConfiguration = AttentionConfiguration(
            dimensions: dimensions, heads: heads, keyValueHeads: keyValueHeads, causal: true, rotaryTheta: rotaryTheta)
        self.init(MultiHeadAttention(attention, generator: generator), configuration)
        initializeNormal(generator: generator)
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let type: DType = dtype.accumulator
        let sizes: [(name: String, rows: Int)] = configuration.usesRecurrence ? memories : []
        let memory: [(String, Tensor)] = sizes.map {
            ($0.name, .zeros([batch, attention.heads, $0.rows, attention.headDimensions], dtype: type, device: device))
        }
        return MixerState(
            recurrent: Dictionary(uniqueKeysWithValues: memory),
            kv: configuration.usesWindow ? KVRing(capacity: configuration.window) : nil)
    }

    /// Names and rows of the recurrent states of a head.
    private var memories: [(name: String, rows: Int)] {
        if case .gsa(let slots) = configuration.gate { return [("slotKeys", slots), ("slotValues", slots)] }
        return [("S", attention.headDimensions)]
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let q: Tensor = queryProjection(x).splitHeads(attention.heads)
        let k: Tensor = keyProjection(x).splitHeads(attention.keyValueHeads)
        let v: Tensor = valueProjection(x).splitHeads(attention.keyValueHeads)
        var next: MixerState? = state
        let (mix, c): (Double, LigerConfiguration) = (configuration.mix, configuration)
        let recurrent: Tensor? = c.usesRecurrence ? recurrence(x, q, k, v, mask: mask, state: &next, mode: mode) : nil
        let window: Tensor? = c.usesWindow ? branch(q, k, v, mask: mask, state: &next) : nil
        next?.offset += x.dim(1)
        state = next?.handedOver()
        let mixed: Tensor
        switch (recurrent, window) {
        case (let recurrent?, let window?): mixed = recurrent * (1 - mix) + window * mix
        case (let one, let other): mixed = one ?? other ?? q
        }
        return outputProjection(mixed.joinedHeads())
    }

    // MARK: The recurrence

    private func recurrence(
        _ x: Tensor, _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?
    ) -> Tensor {
        let (keys, values): (Tensor, Tensor) = (shared(k), shared(v))
        let initial: Tensor? = state?.memory
        let (output, memory): (Tensor, Tensor)
        switch configuration.gate {
        case .gla, .learned:
            let logits: Tensor = gateProjection.map { $0(x).splitHeads(attention.keyValueHeads) } ?? k
            (output, memory) = gatedLinearAttention(
                q: q.softmax(), k: keys.softmax(), v: values, logGate: shared(logits).logSigmoid() / 16, scale: 1, initialState: initial,
                mask: mask, mode: mode)
        case .hgrn2:
            (output, memory) = gatedLinearAttention(
                q: q.softmax(), k: 1 - keys.sigmoid(), v: values, logGate: keys.logSigmoid(), scale: 1, initialState: initial, mask: mask,
                mode: mode)
        case .scalar:
            let gate: Tensor = shared(pooledGateLogits(k, width: 1)).squeezed(axis: 3).logSigmoid() / 16
            (output, memory) = simpleGatedLinearAttention(
                q: q.softmax(), k: keys.softmax(), v: values, logGate: gate, scale: 1, initialState: initial, mask: mask, mode: mode)
        case .none:
            (output, memory) = linearAttention(
                q: q.softmax(), k: keys.softmax(), v: values, scale: 1, initialState: initial, mask: mask, mode: mode)
        case .gsa(let slots):
            return slotRecurrence(q, keys, values, logits: shared(pooledGateLogits(k, width: slots)), mask: mask, state: &state, mode: mode)
        }
        state?.recurrent["S"] = memory
        return output
    }

    private func slotRecurrence(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, logits: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?
    ) -> Tensor {
        let initial: SlotMemory? = state.flatMap { state in
            guard let keys = state.recurrent["slotKeys"], let values = state.recurrent["slotValues"] else { return nil }
            return SlotMemory(keys: keys, values: values)
        }
        let (output, memory): (Tensor, SlotMemory) = gatedSlotAttention(
            q: q, k: k, v: v, logGate: logits.logSigmoid() / 16, scale: 1, initialState: initial, mask: mask, mode: mode)
        state?.recurrent["slotKeys"] = memory.keys
        state?.recurrent["slotValues"] = memory.values
        return output
    }

    private func shared(_ heads: Tensor) -> Tensor { heads.repeatedHeads(for: attention) }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let rows: Int = configuration.usesRecurrence ? memories.reduce(0) { $0 + $1.rows } : 0
        let recurrent: Int = attention.heads * rows * attention.headDimensions
        let tokens: Int = configuration.usesWindow ? min(length, configuration.window) : 0
        return float32Bytes(batch * (recurrent + tokens * 2 * attention.keyValueHeads * attention.headDimensions))
    }
}

/// The logits of the gates: keys `[B, T, H, K]` averaged over `width` bins of neighbouring channels, as adaptive average pooling cuts them.
/// The keys themselves for a width of K.
func pooledGateLogits(_ keys: Tensor, width: Int) -> Tensor {
    let shape: [Int] = keys.shape
    if shape[3] == width { return keys }
    return keys.flattened(from: 0, to: 1).adaptiveAveragePool1d(outputSize: width).reshaped(shape[0], shape[1], shape[2], width)
}
