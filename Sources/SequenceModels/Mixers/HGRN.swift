import NN
import Torch

/// A gated linear recurrent layer (Qin, Yang, Zhong, 2023, *Hierarchically Gated Recurrent Neural Network for Sequence Modeling*) whose
/// channels each remember one number: `h_t = f_t ⊙ h_{t-1} + (1 − f_t) ⊙ silu(W_i x_t)` with `f = σ(W_f x)`, read through a norm over all
/// channels and a gate. See ``elementwiseRecurrence(_:logGate:initialState:mask:mode:)``. The lower bounds of the paper's forget gates,
/// which rise from layer to layer, are left out.
///
/// Checkpoint names are those of flash-linear-attention: `i_proj`, `f_proj`, `g_proj`, `g_norm`, `o_proj`.
public final class HGRN: Module, SequenceMixer {
    @ModuleInfo(key: "i_proj") public var inputProjection: any LinearMap
    @ModuleInfo(key: "f_proj") public var forgetProjection: any LinearMap
    @ModuleInfo(key: "g_proj") public var gateProjection: any LinearMap
    @ModuleInfo(key: "g_norm") public var norm: GatedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    /// Channels of the recurrence.
    public let channels: Int

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// Projections start as N(0, 0.02²).
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - expand: channels of the recurrence over D.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dimensions: Int, expand: Double = 1, generator: RandomGenerator? = nil) {
        channels = Int(Double(dimensions) * expand)
        precondition(channels > 0, "HGRN: no channels in \(dimensions) × \(expand)")
        super.init()
        inputProjection = Linear(dimensions, channels, bias: false)
        forgetProjection = Linear(dimensions, channels, bias: false)
        gateProjection = Linear(dimensions, channels, bias: false)
        norm = GatedRMSNorm(channels)
        outputProjection = Linear(channels, dimensions, bias: false)
        initializeNormal(generator: generator)
    }

    /// `"h": [B, C]`, float32 or wider.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        MixerState(recurrent: ["h": .zeros([batch, channels], dtype: dtype.accumulator, device: device)])
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let forget: Tensor = forgetProjection(x)
        // 1 − σ(z) = σ(−z), without the cancellation.
        let input: Tensor = inputProjection(x).silu() * (-forget).sigmoid()
        let (output, last): (Tensor, Tensor) = elementwiseRecurrence(
            input, logGate: forget.logSigmoid(), initialState: state?.recurrent["h"], mask: mask, mode: mode)
        if var next = state {
            next.recurrent["h"] = last
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        return outputProjection(norm(output, gate: gateProjection(x)))
    }

    public func stateBytes(batch: Int, length: Int) -> Int { float32Bytes(batch * channels) }
}
