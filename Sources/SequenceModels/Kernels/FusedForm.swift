import Torch

/// The fused form of an operator over heads: float32 on the CPU, in chunks of the kernel's own length.
///
/// Half types are widened first. It has no graph of its own, so a backward that is itself differentiated takes the form made of operators.
struct FusedForm {
    let kind: FusedAttention.Kind
    let scale: Double
    let gated: Bool
    let gateNeedsGradient: Bool

    /// Whether a call takes its fused form. The others stay the reference.
    static func applies(to shape: AttentionShape, mode: MixerMode?) -> Bool {
        applies(to: shape.accumulator, on: shape.device, mode: mode)
    }

    /// As ``applies(to:mode:)``, for an operator that has no heads.
    static func applies(to accumulator: DType, on device: Device, mode: MixerMode?) -> Bool {
        guard isAvailable(for: accumulator, on: device) else { return false }
        return switch mode {
        case nil, .chunkwise: true
        case .recurrent, .parallel: false
        }
    }

    /// Whether there are fused kernels for these tensors at all.
    static func isAvailable(for accumulator: DType, on device: Device) -> Bool {
        FusedKernels.isEnabled && accumulator == .float32 && device.kind == .cpu
    }

    /// - Parameter inputs: q, k, v, then the gate if there is one, then possibly the initial state; public layout.
    private func call(_ inputs: [Tensor]) -> FusedAttention {
        let wide: [Tensor] = inputs.map { $0.asType(.float32) }
        let stateIndex: Int = gated ? 4 : 3
        return FusedAttention(
            kind, q: wide[0], k: wide[1], v: wide[2], gate: gated ? wide[3] : nil,
            initialState: wide.count > stateIndex ? wide[stateIndex] : nil, scale: scale)
    }

    /// The output in `v`'s type and the final state.
    func forward(_ inputs: [Tensor]) -> [Tensor] {
        let (output, state): (Tensor, Tensor) = call(inputs).forward()
        return [output.asType(inputs[2].dtype), state]
    }

    /// Gradients of the inputs, in their order and types. Nil is a zero gradient.
    func backward(_ inputs: [Tensor], outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor?] {
        let found: FusedAttention.Gradients = call(inputs).backward(
            outputGradient: outputGradient?.asType(.float32), stateGradient: stateGradient?.asType(.float32),
            gateNeedsGradient: gateNeedsGradient)
        let all: [Tensor?] = [found.q, found.k, found.v] + (gated ? [found.gate] : []) + [found.initialState]
        return zip(all, inputs).map { gradient, input in gradient?.asType(input.dtype) }
    }
}
