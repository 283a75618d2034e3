import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// Recurrence, Krylov kernel and FFT convolution are one map.
@Suite(.ownRandomNumbers) struct DiscreteStateSpaceTests {
    private static let (batch, features, channels, order, length): (Int, Int, Int, Int, Int) = (2, 3, 2, 16, 50)

    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func system() -> DiscreteStateSpace {
        let (A, B): (Tensor, Tensor) = HiPPO.legs.matrices(order: Self.order, device: .cpu)
        let steps: Tensor = Tensor([0.01, 0.05, 0.2], device: .cpu)
        let discrete: (A: Tensor, B: Tensor) = generalizedBilinear(A: A, B: B, dt: steps)
        return DiscreteStateSpace(A: discrete.A, B: discrete.B, C: normal([Self.features, Self.channels, Self.order], seed: 1))
    }

    private var input: Tensor { normal([Self.batch, Self.features, Self.length], seed: 2) }
    private var state: Tensor { normal([Self.batch, Self.features, Self.order], seed: 3) }

    @Test(arguments: [1, 2, 7, 50, 64])
    func krylovColumnsArePowers(_ length: Int) {
        let system: DiscreteStateSpace = system()
        var column: Tensor = system.B
        var columns: [Tensor] = []
        for _ in 0..<length {
            columns.append(column)
            column = einsum("hnk,hk->hn", system.A, column)
        }
        #expect(relativeError(krylov(A: system.A, B: system.B, length: length), stacked(columns, axis: -1)) < 1e-12)
    }

    @Test(arguments: [false, true])
    func recurrenceEqualsConvolution(_ withState: Bool) {
        let initial: Tensor? = withState ? state : nil
        let expected: (output: Tensor, state: Tensor) = system().recur(input, initialState: initial)
        let found: (output: Tensor, state: Tensor) = system().convolve(input, initialState: initial)
        #expect(found.output.shape == [Self.batch, Self.features, Self.channels, Self.length])
        #expect(relativeError(found.output, expected.output) < 1e-9)
        #expect(relativeError(found.state, expected.state) < 1e-9)
    }

    @Test(arguments: [1, 7, 16, 50, 64], [false, true])
    func recurrenceEqualsTheScanOverChunks(_ chunk: Int, _ withState: Bool) throws {
        let initial: Tensor? = withState ? state : nil
        let expected: (output: Tensor, state: Tensor) = system().recur(input, initialState: initial)
        let found: (output: Tensor, state: Tensor?) = system().scan(input, initialState: initial, chunk: chunk)
        #expect(relativeError(found.output, expected.output) < 1e-9)
        #expect(relativeError(try #require(found.state), expected.state) < 1e-9)
        #expect(system().scan(input, initialState: initial, chunk: chunk, needsState: false).state == nil)
    }

    /// The transform of twice the length keeps the end of the kernel from wrapping around to the start.
    @Test func convolutionEqualsTheDirectSum() {
        let kernel: Tensor = normal([Self.features, Self.channels, Self.length], seed: 4)
        var toeplitz: [Tensor] = []
        for time in 0..<Self.length {
            let reversed: Tensor = kernel.narrowed(axis: -1, start: 0, length: time + 1).flipped(axes: [-1])
            toeplitz.append(einsum("hml,bhl->bhm", reversed, input.narrowed(axis: -1, start: 0, length: time + 1)))
        }
        #expect(relativeError(causalConvolution(input, kernel: kernel), stacked(toeplitz, axis: -1)) < 1e-10)
    }

    @Test func splittingTheSequenceChangesNothing() {
        let whole: (output: Tensor, state: Tensor) = system().convolve(input, initialState: state)
        var carried: Tensor = state
        var outputs: [Tensor] = []
        for piece in input.split(sizes: [1, 20, 29], axis: -1) {
            let result: (output: Tensor, state: Tensor) = system().convolve(piece, initialState: carried)
            outputs.append(result.output)
            carried = result.state
        }
        #expect(relativeError(concatenated(outputs, axis: -1), whole.output) < 1e-9)
        #expect(relativeError(carried, whole.state) < 1e-9)
    }

    @Test func maskedStepsLeaveNoTrace() {
        let kept: [Int] = [0, 1, 4, 5, 6, 9]
        let mask: Tensor = Tensor((0..<10).map { kept.contains($0) ? 1.0 : 0 }, [1, 10], device: .cpu).tiled([Self.batch, 1])
        let short: Tensor = input.narrowed(axis: -1, start: 0, length: 10)
        let indices: Tensor = Tensor(kept, device: .cpu)
        let masked: (output: Tensor, state: Tensor) = system().recur(short, initialState: state, mask: mask)
        let plain: (output: Tensor, state: Tensor) = system().recur(short.indexSelect(axis: -1, indices: indices), initialState: state)
        #expect(relativeError(masked.output.indexSelect(axis: -1, indices: indices), plain.output) < 1e-12)
        #expect(relativeError(masked.state, plain.state) < 1e-12)
    }

    /// Any finite filter of length ≤ N has a continuous system: the one whose bilinear transform shifts (lemma 3.2).
    @Test func finiteFiltersAreRepresentable() {
        let taps: Tensor = normal([6], seed: 5)
        let identity: Tensor = .eye(6, dtype: .float64, device: .cpu)
        let shift: Tensor = Tensor.ones([5], dtype: .float64, device: .cpu).diagonalEmbedded(offset: -1)
        let A: Tensor = (shift + identity).mT.solve((shift - identity).mT).mT * 2.0
        let B: Tensor = (identity - A / 2.0).selected(axis: 1, index: 0)
        let discrete: (A: Tensor, B: Tensor) = generalizedBilinear(A: A, B: B, dt: 1)
        let kernel: Tensor = krylov(A: discrete.A, B: discrete.B, length: 20)
        let expected: Tensor = taps.padded([(before: 0, after: 14)])
        #expect(relativeError(taps.expandedDimensions(axis: 0).matmul(kernel).flattened(), expected) < 1e-10)
    }

    @Test func kernelHasGradients() throws {
        let (A, B): (Tensor, Tensor) = HiPPO.legs.matrices(order: 3, device: .cpu)
        let signal: Tensor = normal([1, 1, 5], seed: 6)
        let initial: Tensor = normal([1, 1, 3], seed: 7)
        try gradientCheck([A, B, normal([1, 2, 3], seed: 8), Tensor([0.2], device: .cpu), signal, initial]) { values in
            let discrete: (A: Tensor, B: Tensor) = generalizedBilinear(A: values[0], B: values[1], dt: values[3])
            let result: (output: Tensor, state: Tensor) = DiscreteStateSpace(A: discrete.A, B: discrete.B, C: values[2])
                .convolve(values[4], initialState: values[5])
            return [result.output, result.state]
        }
    }
}
