import NN
import Torch

/// What a ``GatedLinearAttention`` is made of.
public struct GatedLinearAttentionConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream, D.
    public var dimensions: Int
    public var heads: Int
    /// Heads of keys, values and gates, each shared by `heads / keyValueHeads` query heads.
    public var keyValueHeads: Int
    /// Channels of all queries over D.
    public var expandKey: Double
    /// Channels of the output before its projection over D.
    public var expandValue: Double
    /// Rank of the gate's projection.
    public var gateLowRank: Int
    /// τ: the logarithm of the sigmoid gate is divided by it, so that decays start near 1.
    public var gateLogitNormalizer: Double
    /// Lower limit of the log-decays.
    public var clampMin: Double?
    /// Whether the heads' outputs are gated by `silu(W_g x)`.
    public var useOutputGate: Bool
    /// Applied to queries and keys.
    public var featureMap: Activation?
    /// Steps that short convolutions of q, k and v see, each followed by SiLU; nil is no convolution.
    public var convolutionWidth: Int?

    public init(
        dimensions: Int, heads: Int = 4, keyValueHeads: Int? = nil, expandKey: Double = 0.5, expandValue: Double = 1,
        gateLowRank: Int = 16, gateLogitNormalizer: Double = 16, clampMin: Double? = nil, useOutputGate: Bool = true,
        featureMap: Activation? = nil, convolutionWidth: Int? = nil
    ) {
        self.dimensions = dimensions
        self.heads = heads
        self.keyValueHeads = keyValueHeads ?? heads
        self.expandKey = expandKey
        self.expandValue = expandValue
        self.gateLowRank = gateLowRank
        self.gateLogitNormalizer = gateLogitNormalizer
        self.clampMin = clampMin
        self.useOutputGate = useOutputGate
        self.featureMap = featureMap
        self.convolutionWidth = convolutionWidth
    }

    /// Channels of all queries, and of all outputs.
    var keyDimensions: Int { Int(Double(dimensions) * expandKey) }
    var valueDimensions: Int { Int(Double(dimensions) * expandValue) }
    /// Query heads that share a key head.
    var groups: Int { heads / keyValueHeads }
}

/// A layer whose heads are linear memories that forget each key channel at a rate computed from the token (Yang et al., 2023, *Gated
/// Linear Attention Transformers with Hardware-Efficient Training*). See
/// ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)``.
///
/// Checkpoint names are those of flash-linear-attention: `q_proj`, `gk_proj.0`, `gk_proj.1`, `g_proj`, `g_norm_swish_gate`, `o_proj`;
/// without an output gate the norm is `g_norm`.
public final class GatedLinearAttention: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "g_proj") public var outputGateProjection: (any LinearMap)?
    @ModuleInfo(key: "q_conv1d") public var queryConvolution: ShortConvolution?
    @ModuleInfo(key: "k_conv1d") public var keyConvolution: ShortConvolution?
    @ModuleInfo(key: "v_conv1d") public var valueConvolution: ShortConvolution?
    /// The two factors of the gate's projection; only the second has a bias.
    @ModuleInfo(key: "gk_proj") public var gateProjections: [Linear]
    @ModuleInfo(key: "g_norm_swish_gate") public var gatedNorm: GatedRMSNorm?
    @ModuleInfo(key: "g_norm") public var plainNorm: RMSNorm?
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    public let configuration: GatedLinearAttentionConfiguration

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// Projections start as N(0, 0.02²) with biases 0, so decays start near ½^(1/τ). Traps unless the heads divide as they have to.
    public init(_ configuration: GatedLinearAttentionConfiguration, generator: RandomGenerator? = nil) {
        let c: GatedLinearAttentionConfiguration = configuration
        let (keys, values): (Int, Int) = (c.keyDimensions, c.valueDimensions)
        precondition(
            c.keyValueHeads > 0 && c.heads % c.keyValueHeads == 0,
            "GatedLinearAttention: \(c.heads) query heads cannot share \(c.keyValueHeads) key heads")
        precondition(
            keys > 0 && values > 0 && keys % c.heads == 0 && values % c.heads == 0,
            "GatedLinearAttention: \(keys) key and \(values) value channels do not divide into \(c.heads) heads")
        self.configuration = c
        super.init()
        func linear(_ inputs: Int, _ outputs: Int, bias: Bool = false) -> Linear { Linear(inputs, outputs, bias: bias) }
        func convolution(_ channels: Int) -> ShortConvolution? {
            c.convolutionWidth.map { ShortConvolution(channels, width: $0, activation: .silu, generator: generator) }
        }
        queryProjection = linear(c.dimensions, keys)
        keyProjection = linear(c.dimensions, keys / c.groups)
        valueProjection = linear(c.dimensions, values / c.groups)
        outputGateProjection = c.useOutputGate ? linear(c.dimensions, values) : nil
        queryConvolution = convolution(keys)
        keyConvolution = convolution(keys / c.groups)
        valueConvolution = convolution(values / c.groups)
        gateProjections = [linear(c.dimensions, c.gateLowRank), linear(c.gateLowRank, keys / c.groups, bias: true)]
        gatedNorm = c.useOutputGate ? GatedRMSNorm(values / c.heads) : nil
        plainNorm = c.useOutputGate ? nil : RMSNorm(values / c.heads)
        outputProjection = linear(values, c.dimensions)
        initializeNormal(generator: generator)
    }

    private var convolutions: [ShortConvolution] { [queryConvolution, keyConvolution, valueConvolution].compactMap { $0 } }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let c: GatedLinearAttentionConfiguration = configuration
        return .matrixMemory(
            batch: batch, heads: c.heads, key: c.keyDimensions / c.heads, value: c.valueDimensions / c.heads, convolutions: convolutions,
            dtype: dtype, device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let signals: Signals = signals(x, mask: mask, state: &state)
        let (output, memory): (Tensor, Tensor) = gatedLinearAttention(
            q: signals.query, k: signals.key, v: signals.value, logGate: signals.logGate, initialState: state?.memory, mask: mask,
            mode: mode)
        state?.advance(memory: memory, by: x.dim(1))
        return finished(output, from: x)
    }

    /// What the memory of tokens is written, faded and read with, `[B, T, H, ·]` each.
    struct Signals {
        var query: Tensor
        var key: Tensor
        var value: Tensor
        var logGate: Tensor
    }

    /// The signals of tokens `[B, T, D]`, continuing from a state's convolution tails and replacing them.
    func signals(_ x: Tensor, mask: Tensor?, state: inout MixerState?) -> Signals {
        let projected: QueryKeyValue = QueryKeyValue(query: queryProjection(x), key: keyProjection(x), value: valueProjection(x))
            .convolved(by: convolutions, state: &state, mask: mask)
        let features: Activation = configuration.featureMap ?? .identity
        return Signals(
            query: features(projected.query).splitHeads(configuration.heads), key: shared(features(projected.key)),
            value: shared(projected.value), logGate: shared(logDecays(x)))
    }

    /// What was read from the memory, `[B, T, H, V]`, normalised, gated by the tokens and projected.
    func finished(_ output: Tensor, from x: Tensor) -> Tensor { outputProjection(normalized(output, from: x).joinedHeads()) }

    /// The logarithms of the decays that the tokens `[B, T, D]` ask for, `[B, T, ·]`, at most 0.
    public func logDecays(_ x: Tensor) -> Tensor {
        let logits: Tensor = gateProjections[1](gateProjections[0](x))
        let decays: Tensor = logits.logSigmoid() / configuration.gateLogitNormalizer
        return configuration.clampMin.map { decays.clamped($0, nil) } ?? decays
    }

    /// `[B, T, ·]` cut into the heads of keys and values, each of them repeated for the query heads that share it.
    private func shared(_ x: Tensor) -> Tensor {
        let heads: Tensor = x.splitHeads(configuration.keyValueHeads)
        return configuration.groups == 1 ? heads : heads.repeated(configuration.groups, axis: 2)
    }

    private func normalized(_ output: Tensor, from x: Tensor) -> Tensor {
        if let gatedNorm, let outputGateProjection {
            return gatedNorm(output, gate: outputGateProjection(x).splitHeads(configuration.heads))
        }
        return plainNorm.map { $0(output) } ?? output
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: GatedLinearAttentionConfiguration = configuration
        let channels: Int = c.keyDimensions + (c.keyDimensions + c.valueDimensions) / c.groups
        let tails: Int = ((c.convolutionWidth ?? 1) - 1) * channels
        return float32Bytes(batch * (c.keyDimensions * c.valueDimensions / c.heads + tails))
    }
}
