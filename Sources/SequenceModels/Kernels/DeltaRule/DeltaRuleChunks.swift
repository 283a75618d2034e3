import Torch

/// What a call of the delta rule in chunks is about, apart from its tensors.
struct DeltaRuleProblem {
    let gated: Bool
    let gateNeedsGradient: Bool
    let scale: Double
    let layout: ChunkLayout
}

/// One call of the delta rule, with or without a decay, in chunks: the compact (WY) form of a product of Householder-like matrices.
///
/// With b the sum of the log-decays since the chunk's start (0 without a gate) and `R_ij = exp(b_i − b_j)` for j ≤ i, let
/// `A = I + tril(diag(β) K Kᵀ ⊙ R, −1)`, `W = A⁻¹ diag(β) (K ⊙ e^b)` and `U = A⁻¹ diag(β) V`. A chunk that is entered with state S writes
/// the values `Δ = U − W S` at its keys: `S ← e^{b_C} S + (K ⊙ e^{b_C − b})ᵀ Δ`, and reads `O = (Q ⊙ e^b) S + (Q Kᵀ ⊙ R) Δ`. With Δ put in,
/// the recurrence over chunks is a single product for each; everything else is batched over all chunks.
struct DeltaRuleChunks {
    private let problem: DeltaRuleProblem
    private let inputs: [Tensor]

    /// Scaled queries, keys `[M, C, K]`, values `[M, C, V]`, strengths `[M, C, 1]`.
    private let q: Tensor
    private let k: Tensor
    private let v: Tensor
    private let beta: Tensor
    private let decay: HeadDecay
    /// `Q ⊙ e^b` and `K ⊙ e^{b_C − b}`.
    private let readers: Tensor
    private let writers: Tensor
    /// `A⁻¹`, `[M, C, C]`.
    private let inverse: Tensor
    private let w: Tensor
    private let u: Tensor
    /// `e^{b_C} I − (K ⊙ e^{b_C − b})ᵀ W`, `[M, K, K]`.
    private let transition: Tensor

    /// - Parameter inputs: q, k, v, beta, then the log-decay if the problem is gated, then possibly the initial state; public layout.
    init(_ inputs: [Tensor], _ problem: DeltaRuleProblem) {
        self.problem = problem
        self.inputs = inputs
        let layout: ChunkLayout = problem.layout
        q = layout.split(inputs[0]) * problem.scale
        k = layout.split(inputs[1])
        v = layout.split(inputs[2])
        beta = layout.split(inputs[3])
        decay = HeadDecay(problem.gated ? layout.split(inputs[4]) : nil)
        readers = q.weighted(by: decay.sinceStart)
        writers = k.weighted(by: decay.untilEnd)
        let weightedKeys: Tensor = beta * k
        inverse = Self.unitTriangularInverse(weightedKeys.bmm(k.mT).weighted(by: decay.between))
        w = inverse.bmm(weightedKeys.weighted(by: decay.sinceStart))
        u = inverse.bmm(beta * v)
        let kept: Tensor = Tensor.eye(k.dim(2), dtype: k.dtype, device: k.device).weighted(by: decay.overall)
        transition = kept - writers.mT.bmm(w)
    }

    /// `(I + tril(X, −1))⁻¹` of square matrices `[M, C, C]`; what X holds on and above the diagonal has no part in it.
    static func unitTriangularInverse(_ matrices: Tensor) -> Tensor {
        let identity: Tensor = Tensor.eye(matrices.dim(-1), dtype: matrices.dtype, device: matrices.device)
        return matrices.solvingTriangular(identity.expanded(to: matrices.shape), upper: false, unitDiagonal: true)
    }

    private var layout: ChunkLayout { problem.layout }

    private var initialState: Tensor? {
        let index: Int = problem.gated ? 5 : 4
        return inputs.count > index ? inputs[index] : nil
    }

    private func states() -> (entering: Tensor, leaving: Tensor) {
        layout.scan(from: layout.shape.initialState(initialState), updates: writers.mT.bmm(u), transitions: transition) {
            $2.addingBatchProduct($1, $0)
        }
    }

    func forward() -> (output: Tensor, state: Tensor) {
        let (entering, leaving): (Tensor, Tensor) = states()
        let written: Tensor = u.addingBatchProduct(w, entering, alpha: -1)
        let output: Tensor = readers.bmm(entering).addingBatchProduct(decay.causal(q.bmm(k.mT)), written)
        return (layout.join(output, dtype: inputs[2].dtype), layout.shape.publicState(leaving))
    }

    /// Gradients of the inputs, in their order. Nil is a zero gradient.
    func backward(outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor?] {
        let output: Tensor = layout.split(outputGradient ?? inputs[2].zerosLike())
        let (entering, final): (Tensor, Tensor) = states()
        let written: Tensor = u.addingBatchProduct(w, entering, alpha: -1)
        let fromReads: Tensor = decay.causal(q.bmm(k.mT)).mT.bmm(output)
        let finalGradient: Tensor = layout.shape.initialState(stateGradient)
        // The gradient at the state that leaves each chunk, and at last at the initial state.
        let (leavingGradient, initialGradient): (Tensor, Tensor) = layout.scan(
            from: finalGradient, updates: readers.mT.bmm(output).addingBatchProduct(w.mT, fromReads, alpha: -1),
            transitions: transition.mT, reversed: true
        ) { $2.addingBatchProduct($1, $0) }

        let writtenGradient: Tensor = fromReads.addingBatchProduct(writers, leavingGradient)
        let scoresGradient: Tensor = decay.causal(output.bmm(written.mT))
        let queryGradient: Tensor = output.weighted(by: decay.sinceStart).bmm(entering.mT).addingBatchProduct(scoresGradient, k)
        // Through A⁻¹: the right sides' gradients (of U, and of W as −uGradient · Sᵀ), then A's own.
        let uGradient: Tensor = inverse.mT.bmm(writtenGradient)
        let systemGradient: Tensor = (-uGradient.bmm(written.mT)).lowerTriangle(diagonal: -1).weighted(by: decay.between)
        let weightedKeyGradient: Tensor = systemGradient.bmm(k)
            .addingBatchProduct(uGradient.weighted(by: decay.sinceStart), entering.mT, alpha: -1)
        // A key asks what the state holds for it, and is where the correction is written.
        let askingGradient: Tensor = beta * weightedKeyGradient
        let writingGradient: Tensor = written.weighted(by: decay.untilEnd).bmm(leavingGradient.mT)
            .addingBatchProduct(scoresGradient.mT, q)
            .addingBatchProduct(systemGradient.mT, beta * k)
        let betaGradient: Tensor = (uGradient * v).sum(axis: 2) + (weightedKeyGradient * k).sum(axis: 2)

        var gradients: [Tensor?] = zip([queryGradient * problem.scale, askingGradient + writingGradient, beta * uGradient], inputs).map {
            layout.join($0, dtype: $1.dtype)
        }
        gradients.append(layout.join(betaGradient, dtype: inputs[3].dtype).squeezed(axis: 3))
        if problem.gated {
            let perStep: Tensor = q * queryGradient + k * (askingGradient - writingGradient)
            gradients.append(problem.gateNeedsGradient ? gateGradient(perStep, finalStateTerm: final * finalGradient) : nil)
        }
        if let initialState { gradients.append(layout.shape.publicState(initialGradient).asType(initialState.dtype)) }
        return gradients
    }

    /// The gate's gradient in closed form: with b summed over the whole sequence, queries and asking keys enter as `x ⊙ e^b`, writing keys as
    /// `k ⊙ e^{−b}` and the final state as `e^{b_T}`.
    /// - Parameters:
    ///   - perStep: gradient of b at each step, channel by channel, `[M, C, K]`.
    ///   - finalStateTerm: `S_T ⊙ dS_T`, `[B·H, K, V]`.
    private func gateGradient(_ perStep: Tensor, finalStateTerm: Tensor) -> Tensor {
        layout.logDecayGradient(
            sums: perStep.sum(axis: 2, keepDims: true), final: finalStateTerm.sum(axes: [1, 2]).expandedDimensions(axis: 1),
            dtype: inputs[4].dtype
        ).squeezed(axis: 3)
    }
}
