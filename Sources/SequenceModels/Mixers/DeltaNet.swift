import NN
import Torch

/// What a ``DeltaNet`` is made of.
public struct DeltaNetConfiguration: Codable, Sendable, Hashable {
    /// How queries and keys are brought to a common size.
    public enum Norm: String, Codable, Sendable {
        /// Unit Euclidean length.
        case l2
        /// Sum 1, the older form; for positive features.
        case sum
    }

    /// Channels of the residual stream, D.
    public var dimensions: Int
    public var heads: Int
    /// Channels of all keys, and of all values, over D.
    public var expandKey: Double
    public var expandValue: Double
    /// Steps that the short convolutions of q, k and v see; nil is no convolution.
    public var convolutionWidth: Int?
    /// Of queries and keys; values have SiLU.
    public var queryKeyActivation: Activation
    public var queryKeyNorm: Norm
    /// Whether the heads' outputs are gated by `silu(W_g x)`.
    public var useGate: Bool
    /// Write strengths up to 2 instead of 1, which lets a write flip what a key retrieves.
    public var allowNegativeEigenvalues: Bool

    public init(
        dimensions: Int, heads: Int, expandKey: Double = 1, expandValue: Double = 1, convolutionWidth: Int? = 4,
        queryKeyActivation: Activation = .silu, queryKeyNorm: Norm = .l2, useGate: Bool = false, allowNegativeEigenvalues: Bool = false
    ) {
        self.dimensions = dimensions
        self.heads = heads
        self.expandKey = expandKey
        self.expandValue = expandValue
        self.convolutionWidth = convolutionWidth
        self.queryKeyActivation = queryKeyActivation
        self.queryKeyNorm = queryKeyNorm
        self.useGate = useGate
        self.allowNegativeEigenvalues = allowNegativeEigenvalues
    }

    var keyDimensions: Int { Int(Double(dimensions) * expandKey) }
    var valueDimensions: Int { Int(Double(dimensions) * expandValue) }
}

/// A layer whose heads are linear memories written by the delta rule (Yang et al., 2024, *Parallelizing Linear Transformers with the
/// Delta Rule over Sequence Length*): short convolutions, normalised queries and keys, a write strength for each head and step, a
/// norm over each head's output. See ``deltaRule(q:k:v:beta:scale:initialState:mask:mode:)``.
///
/// Checkpoint names are those of flash-linear-attention: `q_proj`, `q_conv1d`, `b_proj`, `o_norm`, `g_proj`, `o_proj`.
public final class DeltaNet: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "b_proj") public var strengthProjection: any LinearMap
    @ModuleInfo(key: "q_conv1d") public var queryConvolution: ShortConvolution?
    @ModuleInfo(key: "k_conv1d") public var keyConvolution: ShortConvolution?
    @ModuleInfo(key: "v_conv1d") public var valueConvolution: ShortConvolution?
    @ModuleInfo(key: "g_proj") public var gateProjection: (any LinearMap)?
    @ModuleInfo(key: "o_norm") public var outputNorm: GatedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    public let configuration: DeltaNetConfiguration

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// Projections start as N(0, 0.02²). Traps unless keys and values divide into the heads.
    public init(_ configuration: DeltaNetConfiguration, generator: RandomGenerator? = nil) {
        let c: DeltaNetConfiguration = configuration
        let (keys, values): (Int, Int) = (c.keyDimensions, c.valueDimensions)
        precondition(
            c.heads > 0 && keys > 0 && values > 0 && keys % c.heads == 0 && values % c.heads == 0,
            "DeltaNet: \(keys) key and \(values) value channels do not divide into \(c.heads) heads")
        self.configuration = c
        super.init()
        func convolution(_ channels: Int, _ activation: Activation) -> ShortConvolution? {
            c.convolutionWidth.map { ShortConvolution(channels, width: $0, activation: activation, generator: generator) }
        }
        queryProjection = Linear(c.dimensions, keys, bias: false)
        keyProjection = Linear(c.dimensions, keys, bias: false)
        valueProjection = Linear(c.dimensions, values, bias: false)
        strengthProjection = Linear(c.dimensions, c.heads, bias: false)
        queryConvolution = convolution(keys, .identity)
        keyConvolution = convolution(keys, .identity)
        valueConvolution = convolution(values, .identity)
        gateProjection = c.useGate ? Linear(c.dimensions, values, bias: false) : nil
        outputNorm = GatedRMSNorm(values / c.heads)
        outputProjection = Linear(values, c.dimensions, bias: false)
        initializeNormal(generator: generator)
    }

    private var convolutions: [ShortConvolution] { [queryConvolution, keyConvolution, valueConvolution].compactMap { $0 } }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let c: DeltaNetConfiguration = configuration
        return .matrixMemory(
            batch: batch, heads: c.heads, key: c.keyDimensions / c.heads, value: c.valueDimensions / c.heads, convolutions: convolutions,
            dtype: dtype, device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let projected: QueryKeyValue = QueryKeyValue(query: queryProjection(x), key: keyProjection(x), value: valueProjection(x))
            .convolved(by: convolutions, state: &state, mask: mask)
        let strength: Tensor = strengthProjection(x).sigmoid()
        let (output, memory): (Tensor, Tensor) = deltaRule(
            q: features(projected.query), k: features(projected.key), v: projected.value.silu().splitHeads(configuration.heads),
            beta: configuration.allowNegativeEigenvalues ? strength * 2 : strength, initialState: state?.memory, mask: mask, mode: mode)
        state?.advance(memory: memory, by: x.dim(1))
        return outputProjection(normalized(output, from: x).joinedHeads())
    }

    /// Queries or keys `[B, T, ·]` activated, cut into heads and normalised.
    private func features(_ x: Tensor) -> Tensor {
        let heads: Tensor = configuration.queryKeyActivation(x).splitHeads(configuration.heads)
        return switch configuration.queryKeyNorm {
        case .l2: heads.l2Normalized()
        case .sum: heads / heads.sum(axis: 3, keepDims: true)
        }
    }

    private func normalized(_ output: Tensor, from x: Tensor) -> Tensor {
        guard let gateProjection else { return output.rmsNormalized(weight: outputNorm.weight, eps: outputNorm.eps) }
        return outputNorm(output, gate: gateProjection(x).splitHeads(configuration.heads))
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: DeltaNetConfiguration = configuration
        let tails: Int = ((c.convolutionWidth ?? 1) - 1) * (2 * c.keyDimensions + c.valueDimensions)
        return float32Bytes(batch * (c.keyDimensions * c.valueDimensions / c.heads + tails))
    }
}
