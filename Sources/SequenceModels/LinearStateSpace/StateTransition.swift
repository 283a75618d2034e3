import NN
import Torch

/// A, B and the steps Δ of the H systems of a layer, with their discretisation and Krylov matrix.
public final class StateTransition: Module {
    /// Dense `[N, N]` and `[N]` of a transition that is not trained.
    @Buffer(key: "A") private var fixedA: Tensor?
    @Buffer(key: "B") private var fixedB: Tensor?
    @Buffer(key: StateTransition.logStepName) private var fixedLogStep: Tensor?
    /// The trained form.
    private let matrix: QuasiseparableMatrix?
    @ParameterInfo(key: StateTransition.logStepName) private var trainedLogStep: Tensor?

    /// What checkpoints call log Δ.
    static let logStepName: String = "log_step"

    private let alpha: Double
    private var cached: Discretized?

    /// Factor on all steps: r for input that keeps every r-th sample of what the layer was trained on.
    public var rate: Double = 1 {
        didSet {
            precondition(rate > 0, "the rate of a state transition is positive, not \(rate)")
            cached = nil
        }
    }

    /// A fixed transition with given matrices.
    /// - Parameters:
    ///   - matrices: `A: [N, N]`, `B: [N]`.
    ///   - logStep: log Δ, `[H]`.
    ///   - alpha: of the generalised bilinear transform.
    public init(fixed matrices: (A: Tensor, B: Tensor), logStep: Tensor, alpha: Double = 0.5) {
        matrix = nil
        self.alpha = alpha
        super.init()
        fixedA = matrices.A
        fixedB = matrices.B
        fixedLogStep = logStep
        trainedLogStep = nil
    }

    /// A transition that is trained, with its steps.
    public init(trained matrix: QuasiseparableMatrix, logStep: Tensor, alpha: Double = 0.5) {
        self.matrix = matrix
        self.alpha = alpha
        super.init()
        fixedA = nil
        fixedB = nil
        fixedLogStep = nil
        trainedLogStep = logStep
    }

    /// Δ of each feature, `[H]`, with the rate.
    public var steps: Tensor {
        guard let logStep = trainedLogStep ?? fixedLogStep else { preconditionFailure("a state transition has steps") }
        return logStep.asType(logStep.dtype.accumulator).exp() * rate
    }

    /// `Ā: [H, N, N]` and `B̄: [H, N]`, in float64 above order 64 (see ``krylov(A:B:length:)``).
    public func discretized() -> (A: Tensor, B: Tensor) {
        let current: Discretized = upToDate()
        return (current.A, current.B)
    }

    /// The Krylov matrix of ``discretized()``, `[H, N, length]`.
    public func columns(length: Int) -> Tensor {
        let current: Discretized = upToDate()
        if let known = current.columns, known.dim(-1) >= length { return known.narrowed(axis: -1, start: 0, length: length) }
        let columns: Tensor = krylov(A: current.A, B: current.B, length: length)
        if !isTracked { cached?.columns = columns }
        return columns
    }

    private func upToDate() -> Discretized {
        let sources: [Tensor] = stateTensors().map(\.1)
        if !isTracked, let cached, cached.isMade(from: sources) { return cached }
        let (transition, input): (Tensor, Tensor) = discretize()
        let result: Discretized = Discretized(A: transition, B: input, sources: isTracked ? [] : sources.map { $0.detached().cloned() })
        cached = isTracked ? nil : result
        return result
    }

    /// Whether gradients are being recorded through the transition, so that nothing may be kept between calls.
    private var isTracked: Bool { isGradEnabled && parameters().contains { $0.requiresGrad } }

    private func discretize() -> (A: Tensor, B: Tensor) {
        if let matrix {
            // The O(N²) solve is exact enough in the parameters' own type; only powers need more digits.
            let system: (A: Tensor, B: Tensor) = matrix.discretized(dt: steps, alpha: alpha)
            let dtype: DType = kernelType(of: system.A)
            return (system.A.asType(dtype), system.B.asType(dtype))
        }
        guard let fixedA, let fixedB else { preconditionFailure("a fixed state transition has matrices") }
        let dtype: DType = kernelType(of: fixedA)
        return generalizedBilinear(A: fixedA.asType(dtype), B: fixedB.asType(dtype), dt: steps.asType(dtype), alpha: alpha)
    }

    private func kernelType(of matrix: Tensor) -> DType {
        matrix.dim(-1) > Self.largestSinglePrecisionOrder ? .float64 : matrix.dtype.accumulator
    }

    /// Powers of larger matrices lose too many digits in float32.
    private static let largestSinglePrecisionOrder: Int = 64
}

/// A discretisation that is kept, with copies of the tensors it was made from.
private struct Discretized {
    let A: Tensor
    let B: Tensor
    let sources: [Tensor]
    var columns: Tensor?

    func isMade(from current: [Tensor]) -> Bool {
        sources.count == current.count
            && zip(sources, current).allSatisfy { $0.dtype == $1.dtype && $0.device == $1.device && $0.isEqual(to: $1) }
    }
}
