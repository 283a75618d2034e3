import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct DCTTests {
    @Test(arguments: [1, 2, 3, 8, 9, 64, 65]) func theBasisIsOrthogonalAndBothMethodsAgree(_ n: Int) {
        let basis: DCTBasis = .shared(n, dtype: .float64, device: .cpu)
        #expect(basis.matrix.matmul(basis.columns).isClose(to: .eye(n, dtype: .float64, device: .cpu), relative: 0, absolute: 1e-12))
        let x: Tensor = .normal([5, n], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 3, device: .cpu))
        #expect(dct2(x, method: .makhoul).isClose(to: dct2(x, method: .matmul), relative: 0, absolute: 1e-10))
    }

    /// The definition, element by element.
    @Test func theMatrixIsTheSpecifiedOne() {
        let n: Int = 6
        let matrix: [Double] = DCTBasis.shared(n, dtype: .float64, device: .cpu).matrix.array()
        for i in 0..<n {
            for j in 0..<n {
                let scale: Double = (2 / Double(n)).squareRoot() * (i == 0 ? 0.5.squareRoot() : 1)
                #expect(abs(matrix[i * n + j] - scale * cos(.pi * Double(i * (2 * j + 1)) / Double(2 * n))) < 1e-14)
            }
        }
    }

    @Test func oneWidthHasOneBasis() {
        let first: DCTBasis = .shared(12, dtype: .float64, device: .cpu)
        #expect(first === DCTBasis.shared(12, dtype: .float64, device: .cpu))
        #expect(first !== DCTBasis.shared(12, dtype: .float32, device: .cpu))
        #expect(first.columns.isEqual(to: first.matrix.transposed()))
    }

    /// With squares as scores no other 3 of the 8 columns leave a smaller error, which is the energy of those left out.
    @Test func theSquaredScoresLeaveTheLeastError() {
        let gradient: Tensor = .normal([10, 8], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 5, device: .cpu))
        let transformed: Tensor = dct2(gradient)
        let chosen: [Int] = ColumnSelector(rank: 3, norm: .l2)(transformed).array(Int32.self).map { Int($0) }
        var best: Double = .infinity
        for a in 0..<8 { for b in a + 1..<8 { for c in b + 1..<8 { best = min(best, error(gradient, [a, b, c])) } } }
        let found: Double = error(gradient, chosen)
        #expect(abs(found - best) < 1e-12)
        let energies: [Double] = transformed.square().sum(axis: 0).array()
        #expect(abs(found - (0..<8).filter { !chosen.contains($0) }.map { energies[$0] }.reduce(0, +)) < 1e-11)
        #expect(found <= (1 - 3.0 / 8) * energies.reduce(0, +))
    }

    private func error(_ gradient: Tensor, _ chosen: [Int]) -> Double {
        let columns: Tensor = DCTProjector().columns(
            Tensor(chosen, dtype: .int32, device: .cpu), of: gradient.dim(1), like: gradient)
        return (gradient - gradient.matmul(columns).matmul(columns.transposed())).square().sum().item()
    }

    @Test func theLowerOfTwoEqualColumnsIsTaken() {
        let tied: Tensor = Tensor([1.0, 3, 2, 3, 2, 3], [1, 6], device: .cpu)
        #expect(ColumnSelector(rank: 2)(tied).array(Int32.self) == [1, 3])
        #expect(ColumnSelector(rank: 4, norm: .l2)(tied).array(Int32.self) == [1, 2, 3, 5])
    }

    /// The sum of absolute values and of squares disagree on a column with one large element.
    @Test func theNormsDiffer() {
        let columns: Tensor = Tensor([3.0, 2, 0, 2], [2, 2], device: .cpu)
        #expect(ColumnSelector(rank: 1, norm: .l1)(columns).array(Int32.self) == [1])
        #expect(ColumnSelector(rank: 1, norm: .l2)(columns).array(Int32.self) == [0])
    }
}
