import NN
import Torch

/// Linear attention without a data-dependent gate, as a mixer: the baseline that ``GatedLinearAttention`` and ``DeltaNet`` are measured
/// against. With decays it is retention (Sun et al., 2023), without them the additive memory of Katharopoulos et al. (2020).
///
/// `o = W_o norm(memory(q, k, v))`, with a norm over each head and, where asked for, rotary positions on q and k. Names in checkpoints:
/// `q_proj`, `k_proj`, `v_proj`, `o_norm`, `o_proj`.
public final class LinearAttention: Module, SequenceMixer {
    /// How a head's memory fades.
    public enum Decay: String, Codable, Sendable {
        /// Nothing is forgotten.
        case none
        /// By `1 − 2^(−5−h)` at each step in head h.
        case retention
    }

    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "q_conv1d") public var queryConvolution: ShortConvolution?
    @ModuleInfo(key: "k_conv1d") public var keyConvolution: ShortConvolution?
    @ModuleInfo(key: "v_conv1d") public var valueConvolution: ShortConvolution?
    @ModuleInfo(key: "o_norm") public var outputNorm: RMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    public let heads: Int
    public let decay: Decay
    public let featureMap: Activation
    public let rotary: RotaryEmbedding?

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { rotary != nil }

    /// Projections start as N(0, 0.02²). Traps unless keys and values divide into the heads.
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: H.
    ///   - decay: how the state fades from step to step.
    ///   - expandKey: channels of all keys over D; `expandValue` likewise.
    ///   - expandValue: channels of all values over D.
    ///   - featureMap: applied to queries and keys.
    ///   - rotaryTheta: base of the rotary frequencies; nil is no positions.
    ///   - convolutionWidth: steps that short convolutions of q, k and v see, each followed by SiLU; nil is no convolution.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        dimensions: Int, heads: Int, decay: Decay = .none, expandKey: Double = 1, expandValue: Double = 1,
        featureMap: Activation = .identity, rotaryTheta: Double? = nil, convolutionWidth: Int? = nil, generator: RandomGenerator? = nil
    ) {
        let (keys, values): (Int, Int) = (Int(Double(dimensions) * expandKey), Int(Double(dimensions) * expandValue))
        precondition(
            heads > 0 && keys > 0 && values > 0 && keys % heads == 0 && values % heads == 0,
            "LinearAttention: \(keys) key and \(values) value channels do not divide into \(heads) heads")
        self.heads = heads
        self.decay = decay
        self.featureMap = featureMap
        rotary = rotaryTheta.map { RotaryEmbedding(keys / heads, theta: $0) }
        super.init()
        func convolution(_ channels: Int) -> ShortConvolution? {
            convolutionWidth.map { ShortConvolution(channels, width: $0, activation: .silu, generator: generator) }
        }
        queryProjection = Linear(dimensions, keys, bias: false)
        keyProjection = Linear(dimensions, keys, bias: false)
        valueProjection = Linear(dimensions, values, bias: false)
        queryConvolution = convolution(keys)
        keyConvolution = convolution(keys)
        valueConvolution = convolution(values)
        outputNorm = RMSNorm(values / heads)
        outputProjection = Linear(values, dimensions, bias: false)
        initializeNormal(generator: generator)
    }

    private var convolutions: [ShortConvolution] { [queryConvolution, keyConvolution, valueConvolution].compactMap { $0 } }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        .matrixMemory(
            batch: batch, heads: heads, key: queryProjection.outputDimensions / heads, value: valueProjection.outputDimensions / heads,
            convolutions: convolutions, dtype: dtype, device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let projected: QueryKeyValue = QueryKeyValue(query: queryProjection(x), key: keyProjection(x), value: valueProjection(x))
            .convolved(by: convolutions, state: &state, mask: mask)
        let (output, memory): (Tensor, Tensor) = remember(
            q: features(projected.query, from: offset), k: features(projected.key, from: offset), v: projected.value.splitHeads(heads),
            initialState: state?.memory, mask: mask, mode: mode)
        state?.advance(memory: memory, by: x.dim(1))
        return outputProjection(outputNorm(output).joinedHeads())
    }

    private func features(_ x: Tensor, from offset: Int) -> Tensor {
        let heads: Tensor = featureMap(x).splitHeads(heads)
        return rotary.map { $0(heads, offset: offset) } ?? heads
    }

    private func remember(q: Tensor, k: Tensor, v: Tensor, initialState: Tensor?, mask: Tensor?, mode: MixerMode?) -> (Tensor, Tensor) {
        switch decay {
        case .none: linearAttention(q: q, k: k, v: v, initialState: initialState, mask: mask, mode: mode)
        case .retention: retention(q: q, k: k, v: v, initialState: initialState, mask: mask, mode: mode)
        }
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let (keys, values): (Int, Int) = (queryProjection.outputDimensions, valueProjection.outputDimensions)
        let tails: Int = ((queryConvolution?.width ?? 1) - 1) * (2 * keys + values)
        return float32Bytes(batch * (keys * values / heads + tails))
    }
}
