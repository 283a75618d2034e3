import NN
import Torch

/// What a ``GatedDeltaNet`` is made of.
public struct GatedDeltaNetConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream, D.
    public var dimensions: Int
    public var heads: Int
    /// Channels of a head's queries and keys, K.
    public var headDimensions: Int
    /// Channels of a head's values, V.
    public var valueHeadDimensions: Int
    /// Steps that the short convolutions of q, k and v see; nil is no convolution.
    public var convolutionWidth: Int?
    /// Whether the heads' outputs are gated by `silu(W_g x)`.
    public var useGate: Bool

    public init(
        dimensions: Int, heads: Int, headDimensions: Int, valueHeadDimensions: Int? = nil, convolutionWidth: Int? = 4, useGate: Bool = true
    ) {
        self.dimensions = dimensions
        self.heads = heads
        self.headDimensions = headDimensions
        self.valueHeadDimensions = valueHeadDimensions ?? headDimensions
        self.convolutionWidth = convolutionWidth
        self.useGate = useGate
    }

    var keyDimensions: Int { heads * headDimensions }
    var valueDimensions: Int { heads * valueHeadDimensions }
}

/// A layer whose heads are linear memories written by the gated delta rule (Yang, Kautz, Hatamizadeh, 2024, *Gated Delta Networks:
/// Improving Mamba2 with Delta Rule*): short convolutions, normalised queries and keys, a decay and a write strength for each head and
/// step, a gated norm over each head's output. See ``gatedDeltaRule(q:k:v:logGate:beta:scale:initialState:mask:mode:)``.
///
/// Checkpoint names are those of flash-linear-attention: `q_proj`, `q_conv1d`, `a_proj`, `b_proj`, `A_log`, `dt_bias`, `g_proj`, `o_norm`,
/// `o_proj`.
public final class GatedDeltaNet: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "a_proj") public var decayProjection: any LinearMap
    @ModuleInfo(key: "b_proj") public var strengthProjection: any LinearMap
    @ModuleInfo(key: "q_conv1d") public var queryConvolution: ShortConvolution?
    @ModuleInfo(key: "k_conv1d") public var keyConvolution: ShortConvolution?
    @ModuleInfo(key: "v_conv1d") public var valueConvolution: ShortConvolution?
    /// `A_log` and `dt_bias`.
    @ModuleInfo(key: "") public var memory: GatedDeltaMemory
    @ModuleInfo(key: "g_proj") public var gateProjection: (any LinearMap)?
    @ModuleInfo(key: "o_norm") public var outputNorm: GatedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    public let configuration: GatedDeltaNetConfiguration

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// Projections start as N(0, 0.02²).
    public init(_ configuration: GatedDeltaNetConfiguration, generator: RandomGenerator? = nil) {
        let c: GatedDeltaNetConfiguration = configuration
        precondition(
            c.heads > 0 && c.headDimensions > 0 && c.valueHeadDimensions > 0,
            "GatedDeltaNet: \(c.heads) heads of \(c.headDimensions) key and \(c.valueHeadDimensions) value channels")
        self.configuration = c
        super.init()
        func convolution(_ channels: Int) -> ShortConvolution? {
            c.convolutionWidth.map { ShortConvolution(channels, width: $0, generator: generator) }
        }
        queryProjection = Linear(c.dimensions, c.keyDimensions, bias: false)
        keyProjection = Linear(c.dimensions, c.keyDimensions, bias: false)
        valueProjection = Linear(c.dimensions, c.valueDimensions, bias: false)
        decayProjection = Linear(c.dimensions, c.heads, bias: false)
        strengthProjection = Linear(c.dimensions, c.heads, bias: false)
        queryConvolution = convolution(c.keyDimensions)
        keyConvolution = convolution(c.keyDimensions)
        valueConvolution = convolution(c.valueDimensions)
        memory = GatedDeltaMemory(heads: c.heads, generator: generator)
        gateProjection = c.useGate ? Linear(c.dimensions, c.valueDimensions, bias: false) : nil
        outputNorm = GatedRMSNorm(c.valueHeadDimensions)
        outputProjection = Linear(c.valueDimensions, c.dimensions, bias: false)
        initializeNormal(generator: generator)
    }

    private var convolutions: [ShortConvolution] { [queryConvolution, keyConvolution, valueConvolution].compactMap { $0 } }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let c: GatedDeltaNetConfiguration = configuration
        return .matrixMemory(
            batch: batch, heads: c.heads, key: c.headDimensions, value: c.valueHeadDimensions, convolutions: convolutions, dtype: dtype,
            device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let projected: QueryKeyValue = QueryKeyValue(query: queryProjection(x), key: keyProjection(x), value: valueProjection(x))
            .convolved(by: convolutions, state: &state, mask: mask)
        let inputs: MemoryInputs = MemoryInputs(
            projected, heads: configuration.heads, strength: strengthProjection(x), decay: decayProjection(x))
        let (output, next): (Tensor, Tensor) = memory(inputs, initialState: state?.memory, mask: mask, mode: mode)
        state?.advance(memory: next, by: x.dim(1))
        return outputProjection(outputNorm.normalized(output, from: x, gate: gateProjection).joinedHeads())
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: GatedDeltaNetConfiguration = configuration
        let tails: Int = ((c.convolutionWidth ?? 1) - 1) * (2 * c.keyDimensions + c.valueDimensions)
        return float32Bytes(batch * (c.keyDimensions * c.valueHeadDimensions + tails))
    }
}

extension GatedRMSNorm {
    /// The heads' outputs `[B, T, H, V]` normalised, and gated by a projection of the stream `x` where there is one.
    func normalized(_ output: Tensor, from x: Tensor, gate: (any LinearMap)?) -> Tensor {
        guard let gate else { return output.rmsNormalized(weight: weight, eps: eps) }
        return self(output, gate: gate(x).splitHeads(output.dim(2)))
    }
}
