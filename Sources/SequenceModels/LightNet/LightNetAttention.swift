import NN
import Torch

/// How a ``LightNetAttention`` knows where a token stands.
public enum LightNetPosition: String, Codable, Sendable, CaseIterable {
    case none
    /// ``MultiDimLRPE`` with fixed rates: exact distances along every axis, at twice the state.
    case multiDimensional = "md-lrpe"
    /// ``MultiDimLRPE`` with trained rates.
    case learnedMultiDimensional = "learned-md-lrpe"
    /// Rotary embedding along time.
    case rotary
}

/// What a ``LightNetAttention`` is made of.
public struct LightNetConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream and of all values, D.
    public var dimensions: Int
    public var heads: Int
    /// Channels of all keys over D.
    public var expandKey: Double
    /// Whether a token reads itself and earlier ones only. Without, one pass reads any grid.
    public var causal: Bool
    /// Sizes of the grid's axes in row-major order; nil is one axis.
    public var gridShape: [Int]?
    /// Tokens before the grid.
    public var extraTokens: Int
    public var position: LightNetPosition
    /// Rank of the output gate's projection.
    public var gateRank: Int
    /// Of the output gate; the authors' second implementation has `sigmoid`.
    public var gate: Activation
    /// Groups of channels that the output is normalised in; the authors' second implementation has one a head.
    public var normGroups: Int
    /// Whether a weight of 1 with the value 0 is there from the start, as in the authors' second implementation.
    public var initialMass: Bool

    /// - Parameters:
    ///   - dimensions: D.
    ///   - heads: H; D / 128 unless given, at least 1.
    ///   - expandKey: channels of all keys over D.
    ///   - causal: whether a token reads itself and earlier ones only.
    ///   - gridShape: sizes of the grid's axes; nil is one axis.
    ///   - extraTokens: tokens before the grid.
    ///   - position: how places are told apart.
    ///   - gateRank: rank of the output gate; the channels of a head unless given.
    ///   - gate: of the output.
    ///   - normGroups: groups of channels that the output is normalised in.
    ///   - initialMass: whether a weight of 1 with the value 0 is there from the start.
    public init(
        dimensions: Int, heads: Int? = nil, expandKey: Double = 1, causal: Bool = true, gridShape: [Int]? = nil, extraTokens: Int = 0,
        position: LightNetPosition = .multiDimensional, gateRank: Int? = nil, gate: Activation = .silu, normGroups: Int = 1,
        initialMass: Bool = false
    ) {
        self.dimensions = dimensions
        self.heads = heads ?? max(1, dimensions / 128)
        self.expandKey = expandKey
        self.causal = causal
        self.gridShape = gridShape
        self.extraTokens = extraTokens
        self.position = position
        self.gateRank = gateRank ?? max(1, dimensions / max(self.heads, 1))
        self.gate = gate
        self.normGroups = normGroups
        self.initialMass = initialMass
    }

    /// Channels of all keys.
    var keyDimensions: Int { Int(Double(dimensions) * expandKey) }
    var headKeys: Int { keyDimensions / heads }
    var headValues: Int { dimensions / heads }
    /// Key channels of a head's memory: positions by cosine and sine take two for each.
    var memoryKeys: Int { [.multiDimensional, .learnedMultiDimensional].contains(position) ? 2 * headKeys : headKeys }
}

/// A layer whose heads keep weighted means of the values: an additive recurrence, which needs one scan for any number of axes.
/// See ``additiveRecurrence(q:keyLogits:v:scale:initialState:mask:causal:mode:)``.
///
/// `q = silu(W_q x)`, logits and values are linear; the output is normalised over all heads together, gated by `silu(W₂ W₁ x)` and projected. Names
/// in checkpoints are those of flash-linear-attention: `q_proj`, `k_proj`, `v_proj`, `g_proj.0`, `g_proj.1`, `g_norm`, `o_proj`; `lrpe` beside them.
///
/// Source: Qin et al., 2024, *You Only Scan Once: Efficient Multi-dimension Sequential Modeling with LightNet*.
public final class LightNetAttention: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    /// The two factors of the output gate's projection.
    @ModuleInfo(key: "g_proj") public var gateProjections: [Linear]
    @ModuleInfo(key: "g_norm") public var norm: GroupedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    @ModuleInfo public var lrpe: MultiDimLRPE?
    private let rotary: RotaryEmbedding?
    public let configuration: LightNetConfiguration

    public var isCausal: Bool { configuration.causal }
    public var stepUsesPosition: Bool { lrpe != nil }

    /// Projections start as N(0, 0.02²). Traps unless keys and values divide into the heads, evenly where they are rotated.
    public init(_ configuration: LightNetConfiguration, generator: RandomGenerator? = nil) {
        let c: LightNetConfiguration = configuration
        precondition(
            c.heads > 0 && c.keyDimensions > 0 && c.keyDimensions % c.heads == 0 && c.dimensions % c.heads == 0,
            "LightNetAttention: \(c.keyDimensions) key and \(c.dimensions) value channels do not divide into \(c.heads) heads")
        self.configuration = c
        rotary = c.position == .rotary ? RotaryEmbedding(c.headKeys) : nil
        super.init()
        func linear(_ inputs: Int, _ outputs: Int) -> Linear { Linear(inputs, outputs, bias: false) }
        queryProjection = linear(c.dimensions, c.keyDimensions)
        keyProjection = linear(c.dimensions, c.keyDimensions)
        valueProjection = linear(c.dimensions, c.dimensions)
        gateProjections = [linear(c.dimensions, c.gateRank), linear(c.gateRank, c.dimensions)]
        norm = GroupedRMSNorm(c.dimensions, groups: c.normGroups)
        outputProjection = linear(c.dimensions, c.dimensions)
        lrpe =
            c.memoryKeys == c.headKeys
            ? nil
            : MultiDimLRPE(
                heads: c.heads, dimensions: c.headKeys, shape: c.gridShape, extraTokens: c.extraTokens,
                learned: c.position == .learnedMultiDimensional)
        initializeNormal(generator: generator)
    }

    /// S, the running log-sum-exp z `[B, H, K]` and, for rotary positions, the tokens read so far, `[B]`.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let c: LightNetConfiguration = configuration
        guard c.causal else { return MixerState() }
        var state: MixerState = .matrixMemory(
            batch: batch, heads: c.heads, key: c.memoryKeys, value: c.headValues, dtype: dtype, device: device)
        state.recurrent["z"] = initialLogMass(batch: batch, dtype: dtype, device: device)
        if rotary != nil { state.recurrent["position"] = .zeros([batch], dtype: .int64, device: device) }
        return state
    }

    private func initialLogMass(batch: Int, dtype: DType, device: Device) -> Tensor {
        let c: LightNetConfiguration = configuration
        return .full(
            [batch, c.heads, c.headKeys], c.initialMass ? 0 : AdditiveGates.empty, dtype: dtype.accumulator,
            device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let heads: Int = configuration.heads
        let q: Tensor = queryProjection(x).silu().splitHeads(heads)
        let (logits, v): (Tensor, Tensor) = (keyProjection(x).splitHeads(heads), valueProjection(x).splitHeads(heads))
        let output: Tensor =
            isCausal ? remembered(q, logits, v, mask: mask, state: &state, mode: mode) : gathered(q, logits, v, mask: mask)
        return outputProjection(norm(output.joinedHeads()) * configuration.gate(gateProjections[1](gateProjections[0](x))))
    }

    private var scale: Double { 1 / Double(configuration.headKeys).squareRoot() }

    /// Every token reads all.
    private func gathered(_ q: Tensor, _ logits: Tensor, _ v: Tensor, mask: Tensor?) -> Tensor {
        let shares: AdditiveShares = AdditiveShares(logits, mask: mask, initialMass: configuration.initialMass)
        let places: Places = Places(offset: 0, tokens: rotary == nil ? nil : tokenPlaces(q, mask: mask, after: nil))
        return bidirectionalLinearAttention(
            q: positioned(q, places), k: positioned(shares.keys.asType(q.dtype), places), v: v, scale: scale, mask: mask
        ).output
    }

    /// Every token reads itself and the earlier ones.
    private func remembered(
        _ q: Tensor, _ logits: Tensor, _ v: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?
    ) -> Tensor {
        let before: Tensor = state?.recurrent["z"] ?? initialLogMass(batch: q.dim(0), dtype: q.dtype, device: q.device)
        let gates: AdditiveGates = AdditiveGates(logits, logMass: before, mask: mask)
        let tokens: Tensor? = rotary == nil ? nil : tokenPlaces(q, mask: mask, after: state?.recurrent["position"])
        let places: Places = Places(offset: state?.offset ?? 0, tokens: tokens)
        let decays: Tensor = lrpe == nil ? gates.logDecay : concatenated([gates.logDecay, gates.logDecay], axis: -1)
        let (output, memory): (Tensor, Tensor) = gatedLinearAttention(
            q: positioned(q, places), k: positioned(gates.keys.asType(q.dtype), places), v: v, logGate: decays, scale: scale,
            initialState: state?.memory, mask: mask, mode: mode)
        state?.recurrent["z"] = gates.logMass
        if let tokens { state?.recurrent["position"] = tokens.selected(axis: 1, index: tokens.dim(1) - 1) + 1 }
        state?.advance(memory: memory, by: q.dim(1))
        return output
    }

    /// Where the tokens of a call stand.
    private struct Places {
        /// Of the first token, masked ones counted.
        let offset: Int
        /// Of each token, `[B, T]`, masked ones not counted. Turned keys decay channel by channel, so that, unlike with ``MultiDimLRPE``,
        /// more than the distance of two tokens matters, and padding must not shift them.
        let tokens: Tensor?
    }

    private func tokenPlaces(_ q: Tensor, mask: Tensor?, after: Tensor?) -> Tensor {
        let real: Tensor = mask.map { ($0 .!= 0).asType(.int64) } ?? .ones([q.dim(0), q.dim(1)], dtype: .int64, device: q.device)
        let places: Tensor = real.cumulativeSum(axis: 1) - 1
        return after.map { places + $0.expandedDimensions(axis: 1) } ?? places
    }

    private func positioned(_ x: Tensor, _ places: Places) -> Tensor {
        if let lrpe { return lrpe(x, offset: places.offset) }
        return rotary.map { $0(x, positions: places.tokens) } ?? x
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: LightNetConfiguration = configuration
        guard c.causal else { return 0 }
        let positions: Int = rotary == nil ? 0 : batch * DType.int64.byteCount
        return float32Bytes(batch * c.heads * (c.memoryKeys * c.headValues + c.headKeys)) + positions
    }
}
