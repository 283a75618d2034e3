import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct CayleyOrthogonalTests {
    private static func random(_ shape: [Int], seed: UInt64, scale: Double = 1) -> Tensor {
        .normal(shape, standardDeviation: scale, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    /// Largest entry of QᵀQ − I.
    private static func defect(_ q: Tensor) -> Double {
        noGrad { (q.mT.matmul(q) - Tensor.eye(q.dim(-1), dtype: q.dtype, device: .cpu)).abs().max().item(Double.self) }
    }

    @Test(arguments: [0.1, 1, 30]) func matricesAreOrthogonalWhateverX(scale: Double) {
        let layer: CayleyOrthogonal = CayleyOrthogonal(dimensions: 12, count: 3)
        layer.to(dtype: .float64)
        noGrad { layer.skew.copy_(from: Self.random([3, 12, 12], seed: 1, scale: scale)) }
        #expect(Self.defect(layer.matrix()) < 1e-13)
        layer.to(dtype: .float32)
        #expect(Self.defect(layer.matrix()) < 1e-6)
        #expect((noGrad { layer.matrix() }.determinant() - 1).abs().max().item(Double.self) < 1e-4)
    }

    @Test func theStartIsTheIdentity() {
        #expect(noGrad { CayleyOrthogonal(dimensions: 4).matrix() }.isEqual(to: Tensor.eye(4).expandedDimensions(axis: 0)))
    }

    @Test func parametersAreFoundAgain() {
        let x: Tensor = Self.random([2, 9, 9], seed: 2).lowerTriangle(diagonal: -1)
        let layer: CayleyOrthogonal = CayleyOrthogonal(dimensions: 9, count: 2)
        layer.to(dtype: .float64)
        noGrad { layer.skew.copy_(from: x) }
        let found: Tensor = noGrad { CayleyOrthogonal.parameter(of: layer.matrix()) }
        #expect((found - x).abs().max().item(Double.self) < 1e-12)
    }

    /// Any orthogonal matrix is met up to the signs of its columns: with determinant −1, with eigenvalues −1, with nothing else.
    @Test func everyOrthogonalMatrixIsMetUpToSigns() {
        let rotation: Tensor = noGrad { Self.random([1, 6, 6], seed: 3).qr().q }
        let identity: Tensor = .eye(6, dtype: .float64, device: .cpu).expandedDimensions(axis: 0)
        let swap: Tensor = identity.indexSelect(axis: 2, indices: Tensor([1, 0, 2, 3, 5, 4], device: .cpu))
        for given in [rotation, -rotation, identity * -1, swap, identity] {
            let found: Tensor = noGrad { CayleyOrthogonal(given).matrix() }
            #expect(Self.defect(found) < 1e-12)
            #expect((found.abs() - given.abs()).abs().max().item(Double.self) < 1e-12)
            let signs: Tensor = CayleyOrthogonal.columnSigns(of: given)
            #expect((found - given * signs.expandedDimensions(axis: 1)).abs().max().item(Double.self) < 1e-12)
        }
    }

    @Test func theGradientReachesX() throws {
        let layer: CayleyOrthogonal = CayleyOrthogonal(dimensions: 4)
        layer.to(dtype: .float64)
        try gradientCheck([Self.random([1, 4, 4], seed: 4)]) { inputs in
            let half: Tensor = (inputs[0] - inputs[0].mT) * 0.5
            let identity: Tensor = .eye(4, dtype: .float64, device: .cpu)
            return [(identity - half).solve(identity + half)]
        }
        // The layer's own gradient against finite differences of its own forward.
        let x: Tensor = Self.random([1, 4, 4], seed: 5)
        let weights: Tensor = Self.random([1, 4, 4], seed: 6)
        func value(_ x: Tensor) -> Double {
            noGrad { layer.skew.copy_(from: x) }
            return noGrad { (layer.matrix() * weights).sum().item(Double.self) }
        }
        noGrad { layer.skew.copy_(from: x) }
        let gradient: Tensor = gradients(of: [(layer.matrix() * weights).sum()], withRespectTo: [layer.skew])[0]
        for place in 0..<16 {
            let step: Tensor = Tensor.zeros([16], dtype: .float64, device: .cpu)
            step[place] = Tensor(1e-6, dtype: .float64, device: .cpu)
            let difference: Double = (value(x + step.reshaped(1, 4, 4)) - value(x - step.reshaped(1, 4, 4))) / 2e-6
            #expect(abs(gradient.flattened()[place].item(Double.self) - difference) < 1e-7)
        }
    }
}
