import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The structured form of HiPPO matrices: exact, linear-time and differentiable.
@Suite(.ownRandomNumbers) struct QuasiseparableMatrixTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    /// A matrix in float64 whose parameters have moved away from their start.
    private func moved(_ measure: HiPPO, order: Int, features: Int? = nil) -> QuasiseparableMatrix {
        let matrix: QuasiseparableMatrix = QuasiseparableMatrix(
            measure: measure, order: order, features: features, dtype: .float64, device: .cpu)
        for (index, parameter) in matrix.parameters().enumerated() {
            noGrad { parameter.add_(normal(parameter.shape, seed: UInt64(index + 1)) * 0.05) }
        }
        return matrix
    }

    @Test(arguments: HiPPO.allCases, [2, 7, 16, 33])
    func startsAsTheClosedForm(_ measure: HiPPO, _ order: Int) {
        let matrix: QuasiseparableMatrix = QuasiseparableMatrix(measure: measure, order: order, dtype: .float64, device: .cpu)
        let (A, B): (Tensor, Tensor) = measure.matrices(order: order, device: .cpu)
        #expect(relativeError(matrix.dense(), A) < 1e-10)
        #expect(relativeError(matrix.input, B) < 1e-10)
    }

    @Test(arguments: HiPPO.allCases, [0.01, 0.7])
    func linearTimeFormsEqualDenseOnes(_ measure: HiPPO, _ step: Double) {
        let matrix: QuasiseparableMatrix = moved(measure, order: 33)
        let (A, delta): (Tensor, Tensor) = (matrix.dense().detached(), Tensor(step, device: .cpu))
        let identity: Tensor = .eye(33, dtype: .float64, device: .cpu)
        let vectors: Tensor = normal([5, 33], seed: 20)
        #expect(relativeError(matrix.forwardMultiply(vectors, step: delta), vectors.matmul((identity + A * step).mT)) < 1e-10)
        let solved: Tensor = (identity - A * step).solve(vectors.mT).mT
        #expect(relativeError(matrix.inverseMultiply(vectors, step: delta), solved) < 1e-10)
    }

    @Test(arguments: [nil, 3], [0, 0.5, 1])
    func discretisationEqualsTheDenseOne(_ features: Int?, _ alpha: Double) {
        let matrix: QuasiseparableMatrix = moved(.legs, order: 9, features: features)
        let steps: Tensor = Tensor([0.01, 0.1, 0.5], device: .cpu)
        let expected: (A: Tensor, B: Tensor) = generalizedBilinear(A: matrix.dense(), B: matrix.input, dt: steps, alpha: alpha)
        let found: (A: Tensor, B: Tensor) = matrix.discretized(dt: steps, alpha: alpha)
        #expect(relativeError(found.A, expected.A) < 1e-10)
        #expect(relativeError(found.B, expected.B) < 1e-10)
    }

    @Test func tridiagonalSolveHasFirstAndSecondDerivatives() throws {
        let diagonal: Tensor = normal([2, 5], seed: 30).abs() + 3.0
        let inputs: [Tensor] = [normal([4], seed: 31), diagonal, normal([2, 4], seed: 32), normal([3, 2, 5], seed: 33)]
        try gradientCheck(inputs, secondOrder: true) { [solveTridiagonal(lower: $0[0], diagonal: $0[1], upper: $0[2], right: $0[3])] }
    }

    @Test(arguments: HiPPO.allCases)
    func discretisationHasGradientsInEveryParameter(_ measure: HiPPO) throws {
        let matrix: QuasiseparableMatrix = moved(measure, order: 5)
        let parameters: [Tensor] = matrix.parameters()
        let start: [Tensor] = parameters.map { $0.detached().cloned() } + [Tensor([0.1, 0.4], device: .cpu)]
        #expect(parameters.count == 7)
        try gradientCheck(start) { values in
            for (parameter, value) in zip(parameters, values) { parameter.replace(with: value) }
            let system: (A: Tensor, B: Tensor) = matrix.discretized(dt: values[7])
            return [system.A, system.B]
        }
    }
}
