import Torch

extension DiscreteStateSpace {
    /// The same as ``recur(_:initialState:mask:)`` in chunks: inside a chunk of C steps by one matrix product with the kernel's first C
    /// entries, from chunk to chunk by the state.
    ///
    /// Cost is `O(L · (C + N))` for each feature, all of it matrix products, and only C columns of the Krylov matrix are needed; a convolution
    /// by FFT needs fewer operations from some length on, but each of them takes several times as long.
    /// - Parameters:
    ///   - input: `[B, H, L]`.
    ///   - initialState: `[B, H, N]`, zeros without one.
    ///   - chunk: C, at least 1; the last chunk may be shorter.
    ///   - columns: at least C columns of the Krylov matrix `[H, N, ≥ C]` of (A, B) where they are already known.
    ///   - needsState: whether the last state is wanted.
    /// - Returns: outputs `[B, H, M, L]`, and the last state `[B, H, N]` where it is wanted.
    public func scan(
        _ input: Tensor, initialState: Tensor? = nil, chunk: Int, columns: Tensor? = nil, needsState: Bool = true
    ) -> (output: Tensor, state: Tensor?) {
        let length: Int = input.dim(-1)
        let size: Int = min(chunk, length)
        let count: Int = (length + size - 1) / size
        let (batch, features, channels): (Int, Int, Int) = (input.dim(0), B.dim(0), C.dim(1))
        let columns: Tensor = (columns ?? krylov(A: A, B: B, length: size)).narrowed(axis: -1, start: 0, length: size)
        // [H, B · n, C]: features are the batch of the matrix products, all chunks of all sequences their rows.
        let rows: Tensor = input.transposed(1, 0, 2).padded([(0, count * size - length)]).reshaped(features, batch * count, size)
        let written: Tensor = rows.bmm(columns.flipped(axes: [-1]).asType(input.dtype).mT)
        let entering: [Tensor] = enteringStates(
            from: initialState ?? .zeros([batch] + B.shape, dtype: input.dtype, device: input.device),
            written: written.reshaped(features, batch, count, -1).unbound(axis: 2), chunk: size)
        let driven: Tensor = rows.bmm(toeplitz(C.matmul(columns)).asType(input.dtype).mT)
        let output: Tensor = driven.addingBatchProduct(
            stacked(entering, axis: 2).flattened(from: 1, to: 2), stateReaders(size).asType(input.dtype).mT)
        let inOrder: Tensor = output.reshaped(features, batch, count, channels, size).transposed(1, 0, 3, 2, 4).flattened(from: 3, to: 4)
        let outputs: Tensor = inOrder.narrowed(axis: -1, start: 0, length: length)
        guard needsState, let last = entering.last else { return (outputs, nil) }
        let rest: Int = length - (count - 1) * size
        let state: Tensor = lastState(
            after: input.narrowed(axis: -1, start: length - rest, length: rest), initialState: last.swappedAxes(0, 1),
            columns: columns.narrowed(axis: -1, start: 0, length: rest))
        return (outputs, state)
    }

    /// The states `[H, B, N]` that enter the chunks, by `x ← Ā^C x + written`.
    private func enteringStates(from initial: Tensor, written: [Tensor], chunk: Int) -> [Tensor] {
        let transition: Tensor = power(chunk).asType(initial.dtype).mT
        var state: Tensor = initial.swappedAxes(0, 1)
        var entering: [Tensor] = [state]
        for update in written.dropLast() {
            state = update.addingBatchProduct(state, transition)
            entering.append(state)
        }
        return entering
    }

    /// `k_{i-j}` for j ≤ i, else 0: `[H, M · C, C]` of a kernel `[H, M, C]`.
    private func toeplitz(_ kernel: Tensor) -> Tensor {
        let size: Int = kernel.dim(-1)
        // Row i of the windows over (C − 1 zeros, kernel) is k_{i-C+1} … k_i, which read backwards is the row that is wanted.
        let windows: Tensor = kernel.padded([(size - 1, 0)]).windows(axis: -1, size: size, step: 1)
        return windows.flipped(axes: [-1]).reshaped(kernel.dim(0), -1, size)
    }

    /// `C Ā^{i+1}` for i < `chunk`: `[H, M · C, N]`.
    private func stateReaders(_ chunk: Int) -> Tensor {
        let transposed: Tensor = A.mT.expandedDimensions(axis: 1).expanded(to: C.shape + [A.dim(-1)])
        return krylov(A: transposed, B: C.matmul(A), length: chunk).mT.flattened(from: 1, to: 2)
    }
}
