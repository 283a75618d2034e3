import Torch

/// A selective scan in chunks: inside a chunk a parallel scan over its steps, from chunk to chunk a recurrence.
///
/// Only the state that enters each chunk outlives the forward. The backward goes through the chunks from the last to the first, computes
/// each one's states again, and carries the gradient of the state that leaves it.
struct SelectiveScanChunks {
    private let inputs: ScanInputs
    private let chunk: Int

    init(_ inputs: ScanInputs, chunk: Int) {
        self.inputs = inputs
        self.chunk = chunk
    }

    private var length: Int { inputs.u.dim(1) }
    private var starts: [Int] { Array(stride(from: 0, to: length, by: chunk)) }

    private func piece(at start: Int, state: Tensor) -> ScanPiece {
        ScanPiece(inputs.piece(start: start, length: min(chunk, length - start), state: state))
    }

    /// - Returns: the output `[B, T, D]`, and the states `[B, N, D]` before each chunk and after the last.
    func forward() -> (output: Tensor, states: [Tensor]) {
        var states: [Tensor] = [inputs.initialState]
        var outputs: [Tensor] = []
        for start in starts {
            let piece: ScanPiece = piece(at: start, state: states[states.count - 1])
            outputs.append(piece.output)
            // A copy, since a view would keep all states of the chunk.
            states.append(piece.leaving.cloned())
        }
        return (concatenated(outputs, axis: 1), states)
    }

    /// Gradients of the inputs in the order of ``ScanInputs/tensors``. A nil gradient is zero.
    /// - Parameters:
    ///   - outputGradient: `[B, T, D]`.
    ///   - stateGradient: `[B, N, D]`.
    ///   - entering: the states before each chunk, from the forward; for higher derivatives they are computed anew, inside the graph.
    func backward(outputGradient: Tensor?, stateGradient: Tensor?, entering: [Tensor]) -> [Tensor?] {
        let states: [Tensor] = isGradEnabled ? forward().states : entering
        let outputs: Tensor = outputGradient ?? inputs.u.zerosLike()
        var carried: Tensor = stateGradient ?? inputs.initialState.zerosLike()
        var parts: [ScanPiece.Gradients] = []
        for (index, start) in starts.enumerated().reversed() {
            let piece: ScanPiece = piece(at: start, state: states[index])
            let gradients: ScanPiece.Gradients = piece.gradients(
                output: outputs.narrowed(axis: 1, start: start, length: min(chunk, length - start)), leaving: carried)
            carried = gradients.entering
            parts.append(gradients)
        }
        func joined(_ part: (ScanPiece.Gradients) -> Tensor) -> Tensor { concatenated(parts.reversed().map(part), axis: 1) }
        let matrix: Tensor = parts.dropFirst().reduce(parts[0].A) { $0 + $1.A }
        return [joined(\.u), joined(\.step), matrix, joined(\.B), joined(\.C), carried]
    }
}

/// The steps of one chunk, `c` of them, with all their states.
private struct ScanPiece {
    private let inputs: ScanInputs
    /// `exp(Δ_t A)`, `[B, c, N, D]`.
    private let decays: Tensor
    /// `[B, c + 1, N, D]`: the state that enters the chunk, then the one after each step.
    private let states: Tensor

    init(_ inputs: ScanInputs) {
        self.inputs = inputs
        decays = (inputs.step.expandedDimensions(axis: 2) * inputs.A).exp()
        let first: Tensor = inputs.initialState.expandedDimensions(axis: 1)
        let writes: Tensor = inputs.B.expandedDimensions(axis: 3) * (inputs.step * inputs.u).expandedDimensions(axis: 2)
        states = diagonalScan(
            decays: concatenated([first.onesLike(), decays], axis: 1), inputs: concatenated([first, writes], axis: 1))
    }

    private var length: Int { inputs.u.dim(1) }
    private var before: Tensor { states.narrowed(axis: 1, start: 0, length: length) }
    private var after: Tensor { states.narrowed(axis: 1, start: 1, length: length) }

    /// The state after the last step, a view.
    var leaving: Tensor { states.selected(axis: 1, index: length) }

    /// `C_t h_t`, `[B, c, D]`.
    var output: Tensor { inputs.C.expandedDimensions(axis: 2).matmul(after).squeezed(axis: 2) }

    struct Gradients {
        let u: Tensor
        let step: Tensor
        let A: Tensor
        let B: Tensor
        let C: Tensor
        let entering: Tensor
    }

    /// With `g_t` the gradient at `h_t` from its own output and from all later steps, `g_t = C_tᵀ dy_t + exp(Δ_{t+1} A) g_{t+1}`, everything
    /// else is local: `dC_t = dy_t h_tᵀ`, `d(Δ_t u_t) = B_t g_t`, `dB_t = g_t (Δ_t u_t)ᵀ`, and the exponent's gradient
    /// `g_t ⊙ exp(Δ_t A) ⊙ h_{t-1}` goes to Δ through A and to A through Δ.
    func gradients(output: Tensor, leaving: Tensor) -> Gradients {
        let atStates: Tensor = stateGradients(output: output, leaving: leaving)
        let passedOn: Tensor = decays * atStates
        let exponents: Tensor = passedOn * before
        let atWrites: Tensor = inputs.B.expandedDimensions(axis: 2).matmul(atStates).squeezed(axis: 2)
        let writes: Tensor = (inputs.step * inputs.u).expandedDimensions(axis: 3)
        return Gradients(
            u: atWrites * inputs.step,
            step: (exponents * inputs.A).sum(axis: 2) + atWrites * inputs.u,
            A: (exponents * inputs.step.expandedDimensions(axis: 2)).sum(axes: [0, 1]),
            B: atStates.matmul(writes).squeezed(axis: 3),
            C: after.matmul(output.expandedDimensions(axis: 3)).squeezed(axis: 3),
            entering: passedOn.selected(axis: 1, index: 0))
    }

    /// `g`, `[B, c, N, D]`: a scan from the last step to the first, each step reached through the decay of the one after it.
    private func stateGradients(output: Tensor, leaving: Tensor) -> Tensor {
        let own: Tensor = inputs.C.expandedDimensions(axis: 3) * output.expandedDimensions(axis: 2)
        let last: Tensor = leaving.expandedDimensions(axis: 1)
        let ones: Tensor = last.onesLike()
        let later: Tensor = decays.narrowed(axis: 1, start: 1, length: length - 1).flipped(axes: [1])
        let all: Tensor = diagonalScan(
            decays: concatenated([ones, ones, later], axis: 1), inputs: concatenated([last, own.flipped(axes: [1])], axis: 1))
        return all.narrowed(axis: 1, start: 1, length: length).flipped(axes: [1])
    }
}

/// `h_t = a_t ⊙ h_{t-1} + b_t` along axis 1 of `[B, T, …]` with `h_{-1} = 0`, in a logarithmic number of operators (Blelloch, 1990,
/// *Prefix Sums and Their Applications*): two steps are one with decay `a_{t+1} a_t` and input `a_{t+1} b_t + b_{t+1}`, so the states
/// after every second step are a scan of half the length, and each of the others is one step further.
func diagonalScan(decays: Tensor, inputs: Tensor) -> Tensor {
    let (length, pairs): (Int, Int) = (inputs.dim(1), inputs.dim(1) / 2)
    guard pairs > 0 else { return inputs }
    func paired(_ tensor: Tensor) -> (first: Tensor, second: Tensor) {
        let halves: [Tensor] = tensor.narrowed(axis: 1, start: 0, length: 2 * pairs)
            .reshaped([tensor.dim(0), pairs, 2] + tensor.shape.dropFirst(2)).unbound(axis: 2)
        return (halves[0], halves[1])
    }
    let (decay, input): ((first: Tensor, second: Tensor), (first: Tensor, second: Tensor)) = (paired(decays), paired(inputs))
    let second: Tensor = diagonalScan(
        decays: decay.second * decay.first, inputs: input.second.addingProduct(decay.second, input.first))
    let before: Tensor = concatenated([second.narrowed(axis: 1, start: 0, length: 1).zerosLike(), second], axis: 1)
    let first: Tensor = input.first.addingProduct(decay.first, before.narrowed(axis: 1, start: 0, length: pairs))
    let even: Tensor = stacked([first, second], axis: 2).flattened(from: 1, to: 2)
    if length == 2 * pairs { return even }
    func last(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: 1, start: tensor.dim(1) - 1, length: 1) }
    return concatenated([even, last(inputs).addingProduct(last(decays), last(second))], axis: 1)
}
