import Foundation
import NN
import Torch

/// The linear state-space layer (arXiv 2110.13985): H independent systems `ẋ = Ax + Bu`, `y = Cx + Du`, then GELU, dropout and a
/// linear layer that mixes features.
///
/// The layer is a recurrence, a convolution and a continuous-time model at once: `recurrent` steps through time, `parallel` convolves by
/// FFT, `chunkwise` takes a chunk at a time, and ``rate`` reads data that was sampled at another rate without training again.
/// Without a mode, sequences longer than `MixerMode.longestRecurrence` go in chunks. A and Δ want learning rates of their own and
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
        return MixerState(recurrent: ["x": .zeros(shape, dtype: dtype.accumulator, device: device)])
    }

    public func stateBytes(batch: Int, length: Int) -> Int { batch * configuration.features * configuration.order * 4 }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let u: Tensor = featuresFirst(x.asType(x.dtype.accumulator))
        let result: (output: Tensor, state: Tensor?) = run(u, state: state?.recurrent["x"], mask: mask, mode: mode)
        if var next = state {
            next.recurrent["x"] = result.state
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        let skipped: Tensor = result.output + D.expandedDimensions(axis: -1) * u.expandedDimensions(axis: 2)
        return project(timeFirst(skipped.flattened(from: 1, to: 2)).asType(x.dtype))
    }

    /// `[B, T, H]` as `[B, H, T]`, each feature in one piece of memory.
    private func featuresFirst(_ x: Tensor) -> Tensor {
        materializedTranspose(x.flattened(from: 0, to: 1)).reshaped(x.dim(2), x.dim(0), x.dim(1)).swappedAxes(0, 1)
    }

    /// The reverse of ``featuresFirst(_:)``.
    private func timeFirst(_ y: Tensor) -> Tensor {
        materializedTranspose(y.swappedAxes(0, 1).flattened(from: 1, to: 2)).reshaped(y.dim(0), y.dim(2), y.dim(1))
    }

    /// `[B, T, H·M]` to `[B, T, H]`.
    private func project(_ y: Tensor) -> Tensor {
        let activated: Tensor = (bias.map { y + $0 } ?? y).gelu()
        return output(dropout(activated))
    }
}

// The state-space part in its forms.
extension LSSL {
    /// `u: [B, H, T]` to outputs `[B, H, M, T]` (without D) and the last state, which is nil where there was none and none had to be computed.
    private func run(_ u: Tensor, state: Tensor?, mask: Tensor?, mode: MixerMode?) -> (output: Tensor, state: Tensor?) {
        let matrices: (A: Tensor, B: Tensor) = transition.discretized()
        let system: DiscreteStateSpace = DiscreteStateSpace(A: matrices.A, B: matrices.B, C: C.asType(matrices.A.dtype))
        let start: Tensor? = state.flatMap { isZero($0) ? nil : $0 }
        let length: Int = u.dim(-1)
        let form: Form = Form(mode, length: length)
        // A gap in the middle of a continued sequence moves the decay of its state; only the recurrence knows how.
        if form == .recurrence || (mask != nil && start != nil) { return system.recur(u, initialState: start, mask: mask) }
        func computed(_ u: Tensor) -> (output: Tensor, state: Tensor?) {
            compute(u, by: system, state: start, form: form, needsState: state != nil)
        }
        return mask.map { packed(u, mask: $0, computed) } ?? computed(u)
    }

    /// Whether a state that carries no gradient is all zeros, as at the beginning of a sequence.
    private func isZero(_ state: Tensor) -> Bool { !state.requiresGrad && !(state .!= 0).any().item(Bool.self) }

    /// How a call computes its sequence.
    private enum Form: Equatable {
        case recurrence
        case chunks(Int)
        case convolution

        init(_ mode: MixerMode?, length: Int) {
            switch mode {
            case .recurrent: self = .recurrence
            case .chunkwise(let size):
                precondition(size > 0, "a chunk needs at least one step, not \(size)")
                self = .chunks(size)
            case .parallel: self = .convolution
            case nil: self = length <= MixerMode.longestRecurrence ? .recurrence : .chunks(LSSL.defaultChunk)
            }
        }
    }

    private func compute(
        _ u: Tensor, by system: DiscreteStateSpace, state: Tensor?, form: Form, needsState: Bool
    ) -> (output: Tensor, state: Tensor?) {
        if case .chunks(let size) = form {
            let columns: Tensor = transition.columns(length: min(size, u.dim(-1)))
            return system.scan(u, initialState: state, chunk: size, columns: columns, needsState: needsState)
        }
        let columns: Tensor = transition.columns(length: u.dim(-1))
        if needsState { return system.convolve(u, initialState: state, columns: columns) }
        return (system.convolved(u, columns: columns), nil)
    }

    /// Steps in a chunk when no mode is given: about the state's order, where the two terms of the cost are equal.
    private static let defaultChunk: Int = 64

    /// Moves the masked steps of each sequence to its beginning as zeros, which a state of zeros does not feel, and the outputs back.
    private func packed(
        _ u: Tensor, mask: Tensor, _ body: (Tensor) -> (output: Tensor, state: Tensor?)
    ) -> (output: Tensor, state: Tensor?) {
        let real: Tensor = (mask .> 0.5).asType(.int64)
        let order: Tensor = real.argSort(axis: 1)
        let kept: Tensor = real.takeAlong(order, axis: 1).asType(u.dtype).expandedDimensions(axis: 1)
        let result: (output: Tensor, state: Tensor?) = body(u.gather(axis: 2, indices: spread(order, to: u.shape)) * kept)
        let back: Tensor = spread(order.argSort(axis: 1), to: result.output.shape)
        return (result.output.gather(axis: -1, indices: back), result.state)
    }

    /// `[B, T]` over the axes between the batch and time.
    private func spread(_ indices: Tensor, to shape: [Int]) -> Tensor {
        let inner: [Int] = Array(repeating: 1, count: shape.count - 2)
        return indices.reshaped([shape[0]] + inner + [shape[shape.count - 1]]).expanded(to: shape)
    }
}

/// The transpose of a matrix in its own memory, and its gradient likewise. libtorch copies matrices block by block but tensors of more axes,
/// which a view would leave to the next operator, element by element.
private func materializedTranspose(_ matrix: Tensor) -> Tensor {
    customFunction("materializedTranspose", [matrix]) { inputs in
        ([inputs[0].mT.contiguous()], { [$0[0]?.mT.contiguous()] })
    }[0]
}
