import Foundation
import NN
import Torch

/// The linear state-space layer (arXiv 2110.13985): H independent systems `ẋ = Ax + Bu`, `y = Cx + Du`, then GELU, dropout and a
/// linear layer that mixes features.
///
/// The layer is a recurrence, a convolution and a continuous-time model at once: `recurrent` steps through time, `parallel` convolves by
/// FFT, `chunkwise` convolves piece by piece, and ``rate`` reads data that was sampled at another rate without training again.
/// Without a mode, sequences longer than `MixerMode.longestRecurrence` are convolved whole. A and Δ want learning rates of their own and
/// no weight decay: see ``Swift/Array/stateSpace(_:matrixRate:stepRate:)``.
public final class LSSL: Module, SequenceMixer {
    public let configuration: LSSLConfiguration
    /// A, B and Δ.
    public let transition: StateTransition
    /// `[H, M, N]`
    public let C: Tensor
    /// `[H, M]`
    public let D: Tensor
    /// `[H · M]`, added before the activation.
    public let bias: Tensor?
    private let dropout: Dropout
    /// `[H · M]` to `[H]`.
    public let output: Linear

    /// C and D start normal; log Δ uniform between the configured steps.
    /// - Parameters:
    ///   - configuration: the layer's shape and discretisation.
    ///   - matrices: `A: [N, N]` and `B: [N]` in place of the measure's, for a fixed transition only.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(_ configuration: LSSLConfiguration, matrices: (A: Tensor, B: Tensor)? = nil, generator: RandomGenerator? = nil) {
        self.configuration = configuration
        let (features, channels): (Int, Int) = (configuration.features, configuration.channels)
        transition = Self.makeTransition(configuration, matrices, generator)
        C = .normal([features, channels, configuration.order], generator: generator)
        D = .normal([features, channels], generator: generator)
        bias = configuration.bias ? .zeros([features * channels]) : nil
        dropout = Dropout(configuration.dropout)
        output = Linear(features * channels, features, generator: generator)
        super.init()
    }

    private static func makeTransition(
        _ configuration: LSSLConfiguration, _ matrices: (A: Tensor, B: Tensor)?, _ generator: RandomGenerator?
    ) -> StateTransition {
        let logStep: Tensor = .uniform(
            [configuration.features], low: log(configuration.smallestStep), high: log(configuration.largestStep), generator: generator)
        if configuration.transition == .fixed {
            let start: (A: Tensor, B: Tensor) =
                matrices
                ?? configuration.measure.matrices(order: configuration.order, dtype: .float32, window: configuration.window)
            return StateTransition(fixed: start, logStep: logStep, alpha: configuration.alpha)
        }
        precondition(matrices == nil, "given matrices stay fixed; a trained transition starts from a measure")
        let matrix: QuasiseparableMatrix = QuasiseparableMatrix(
            measure: configuration.measure, order: configuration.order,
            features: configuration.transition == .perFeature ? configuration.features : nil, window: configuration.window)
        return StateTransition(trained: matrix, logStep: logStep, alpha: configuration.alpha)
    }

    /// Factor on all steps Δ: 2 for data that keeps every second sample. Setting it drops the kept kernels.
    public var rate: Double {
        get { transition.rate }
        set { transition.rate = newValue }
    }

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// `"x": [B, H, N]`, float32 or wider.
    public func initialState(batch: Int, dtype: DType, device: Device) -> MixerState {
        let shape: [Int] = [batch, configuration.features, configuration.order]
        return MixerState(recurrent: ["x": .zeros(shape, dtype: Self.stateType(for: dtype), device: device)])
    }

    public func stateBytes(batch: Int, length: Int) -> Int { batch * configuration.features * configuration.order * 4 }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let u: Tensor = x.swappedAxes(1, 2).asType(Self.stateType(for: x.dtype))
        let result: (output: Tensor, state: Tensor) = run(u, state: state?.recurrent["x"], mask: mask, mode: mode)
        if var next = state {
            next.recurrent["x"] = result.state
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        let skipped: Tensor = result.output + D.expandedDimensions(axis: -1) * u.expandedDimensions(axis: 2)
        return project(skipped.flattened(from: 1, to: 2).swappedAxes(1, 2).asType(x.dtype))
    }

    /// `[B, T, H·M]` to `[B, T, H]`.
    private func project(_ y: Tensor) -> Tensor {
        let activated: Tensor = (bias.map { y + $0 } ?? y).gelu()
        return output(dropout(activated))
    }

    private static func stateType(for dtype: DType) -> DType { dtype.byteCount < 4 ? .float32 : dtype }
}

// The state-space part in its forms.
extension LSSL {
    /// `u: [B, H, T]` to outputs `[B, H, M, T]` (without D) and the last state.
    private func run(_ u: Tensor, state: Tensor?, mask: Tensor?, mode: MixerMode?) -> (output: Tensor, state: Tensor) {
        let matrices: (A: Tensor, B: Tensor) = transition.discretized()
        let system: DiscreteStateSpace = DiscreteStateSpace(A: matrices.A, B: matrices.B, C: C.asType(matrices.A.dtype))
        let start: Tensor? = state.flatMap { isZero($0) ? nil : $0 }
        let length: Int = u.dim(-1)
        let piece: Int
        switch mode {
        case .recurrent: piece = 0
        case .chunkwise(let size):
            precondition(size > 0, "a chunk needs at least one step, not \(size)")
            piece = size
        case .parallel: piece = length
        case nil: piece = length <= MixerMode.longestRecurrence ? 0 : length
        }
        // A gap in the middle of a continued sequence moves the decay of its state; only the recurrence knows how.
        if piece == 0 || (mask != nil && start != nil) { return system.recur(u, initialState: start, mask: mask) }
        guard let mask else { return convolve(u, by: system, state: start, piece: piece) }
        return packed(u, mask: mask) { convolve($0, by: system, state: nil, piece: piece) }
    }

    /// Whether a state that carries no gradient is all zeros, as at the beginning of a sequence.
    private func isZero(_ state: Tensor) -> Bool { !state.requiresGrad && !(state .!= 0).any().item(Bool.self) }

    private func convolve(_ u: Tensor, by system: DiscreteStateSpace, state: Tensor?, piece: Int) -> (output: Tensor, state: Tensor) {
        var carried: Tensor? = state
        var outputs: [Tensor] = []
        for part in u.split(size: piece, axis: -1) {
            let columns: Tensor = transition.columns(length: part.dim(-1))
            let result: (output: Tensor, state: Tensor) = system.convolve(part, initialState: carried, columns: columns)
            outputs.append(result.output)
            carried = result.state
        }
        guard let carried else { preconditionFailure("an LSSL needs at least one step") }
        return (outputs.count == 1 ? outputs[0] : concatenated(outputs, axis: -1), carried)
    }

    /// Moves the masked steps of each sequence to its beginning as zeros, which a state of zeros does not feel, and the outputs back.
    private func packed(
        _ u: Tensor, mask: Tensor, _ body: (Tensor) -> (output: Tensor, state: Tensor)
    ) -> (output: Tensor, state: Tensor) {
        let real: Tensor = (mask .> 0.5).asType(.int64)
        let order: Tensor = real.argSort(axis: 1)
        let kept: Tensor = real.takeAlong(order, axis: 1).asType(u.dtype).expandedDimensions(axis: 1)
        let result: (output: Tensor, state: Tensor) = body(u.gather(axis: 2, indices: spread(order, to: u.shape)) * kept)
        let back: Tensor = spread(order.argSort(axis: 1), to: result.output.shape)
        return (result.output.gather(axis: -1, indices: back), result.state)
    }

    /// `[B, T]` over the axes between the batch and time.
    private func spread(_ indices: Tensor, to shape: [Int]) -> Tensor {
        let inner: [Int] = Array(repeating: 1, count: shape.count - 2)
        return indices.reshaped([shape[0]] + inner + [shape[shape.count - 1]]).expanded(to: shape)
    }
}
