import Torch

/// One call of the delta rule in chunks, in the compact (WY) form of a product of Householder-like matrices.
///
/// With `A = I + tril(diag(β) K Kᵀ, −1)`, `W = A⁻¹ diag(β) K` and `U = A⁻¹ diag(β) V`, a chunk that is entered with state S writes the
/// values `Δ = U − W S` at its keys: `S ← S + Kᵀ Δ`, and reads `O = Q S + tril(Q Kᵀ) Δ`. Written as `S ← (I − Kᵀ W) S + Kᵀ U`
/// the recurrence over chunks is a single product for each; everything else is batched over all chunks.
struct DeltaRuleChunks {
    private let layout: ChunkLayout
    private let scale: Double
    private let inputs: [Tensor]

    /// Scaled queries, keys `[M, C, K]`, values `[M, C, V]`, strengths `[M, C, 1]`.
    private let q: Tensor
    private let k: Tensor
    private let v: Tensor
    private let beta: Tensor
    /// `A⁻¹`, `[M, C, C]`.
    private let inverse: Tensor
    private let w: Tensor
    private let u: Tensor
    /// `I − Kᵀ W`, `[M, K, K]`.
    private let transition: Tensor

    /// - Parameter inputs: q, k, v, beta and possibly the initial state, in the public layout.
    init(_ inputs: [Tensor], scale: Double, layout: ChunkLayout) {
        self.layout = layout
        self.scale = scale
        self.inputs = inputs
        q = layout.split(inputs[0]) * scale
        k = layout.split(inputs[1])
        v = layout.split(inputs[2])
        beta = layout.split(inputs[3])
        let weightedKeys: Tensor = beta * k
        inverse = Self.unitTriangularInverse(weightedKeys.bmm(k.mT))
        w = inverse.bmm(weightedKeys)
        u = inverse.bmm(beta * v)
        let identity: Tensor = Tensor.eye(k.dim(2), dtype: k.dtype, device: k.device)
        transition = identity - k.mT.bmm(w)
    }

    /// `(I + tril(X, −1))⁻¹` of square matrices `[M, C, C]`; what X holds on and above the diagonal has no part in it.
    static func unitTriangularInverse(_ matrices: Tensor) -> Tensor {
        let identity: Tensor = Tensor.eye(matrices.dim(-1), dtype: matrices.dtype, device: matrices.device)
        return matrices.solvingTriangular(identity.expanded(to: matrices.shape), upper: false, unitDiagonal: true)
    }

    private var initialState: Tensor? { inputs.count > 4 ? inputs[4] : nil }

    private func states() -> (entering: Tensor, leaving: Tensor) {
        layout.scan(from: layout.shape.initialState(initialState), updates: k.mT.bmm(u), transitions: transition) {
            $2.addingBatchProduct($1, $0)
        }
    }

    func forward() -> (output: Tensor, state: Tensor) {
        let (entering, leaving): (Tensor, Tensor) = states()
        let written: Tensor = u.addingBatchProduct(w, entering, alpha: -1)
        let output: Tensor = q.bmm(entering).addingBatchProduct(q.bmm(k.mT).lowerTriangle(), written)
        return (layout.join(output, dtype: inputs[2].dtype), layout.shape.publicState(leaving))
    }

    /// Gradients of the inputs, in their order. Nil is a zero gradient.
    func backward(outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor?] {
        let output: Tensor = layout.split(outputGradient ?? inputs[2].zerosLike())
        let entering: Tensor = states().entering
        let written: Tensor = u.addingBatchProduct(w, entering, alpha: -1)
        let fromReads: Tensor = q.bmm(k.mT).lowerTriangle().mT.bmm(output)
        // The gradient at the state that leaves each chunk, and at last at the initial state.
        let (leavingGradient, initialGradient): (Tensor, Tensor) = layout.scan(
            from: layout.shape.initialState(stateGradient), updates: q.mT.bmm(output).addingBatchProduct(w.mT, fromReads, alpha: -1),
            transitions: transition.mT, reversed: true
        ) { $2.addingBatchProduct($1, $0) }

        let writtenGradient: Tensor = fromReads.addingBatchProduct(k, leavingGradient)
        let scoresGradient: Tensor = output.bmm(written.mT).lowerTriangle()
        let queryGradient: Tensor = output.bmm(entering.mT).addingBatchProduct(scoresGradient, k)
        // Through A⁻¹: the right sides' gradients (of U, and of W as −uGradient · Sᵀ), then A's own.
        let uGradient: Tensor = inverse.mT.bmm(writtenGradient)
        let systemGradient: Tensor = -uGradient.bmm(written.mT).lowerTriangle(diagonal: -1)
        let weightedKeyGradient: Tensor = systemGradient.bmm(k).addingBatchProduct(uGradient, entering.mT, alpha: -1)
        let keyGradient: Tensor = (beta * weightedKeyGradient)
            .addingBatchProduct(scoresGradient.mT, q)
            .addingBatchProduct(written, leavingGradient.mT)
            .addingBatchProduct(systemGradient.mT, beta * k)
        let betaGradient: Tensor = (uGradient * v).sum(axis: 2) + (weightedKeyGradient * k).sum(axis: 2)

        var gradients: [Tensor?] = zip([queryGradient * scale, keyGradient, beta * uGradient], inputs).map {
            layout.join($0, dtype: $1.dtype)
        }
        gradients.append(layout.join(betaGradient, dtype: inputs[3].dtype).squeezed(axis: 3))
        if let initialState { gradients.append(layout.shape.publicState(initialGradient).asType(initialState.dtype)) }
        return gradients
    }
}
