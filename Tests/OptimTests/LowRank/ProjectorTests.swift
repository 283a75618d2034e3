import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct ProjectorTests {
    private let gradient: Tensor = {
        let generator: RandomGenerator = RandomGenerator(seed: 11, device: .cpu)
        let low: Tensor = .normal([14, 3], dtype: .float64, device: .cpu, generator: generator)
        let wide: Tensor = .normal([3, 10], dtype: .float64, device: .cpu, generator: generator)
        return low.matmul(wide) + Tensor.normal([14, 10], dtype: .float64, device: .cpu, generator: generator) * 0.1
    }()

    @Test(arguments: ProjectorKind.allCases) func directionsAreOrthonormalAndStoredAsTold(_ kind: ProjectorKind) {
        let projector: any LowRankProjector = kind.projector
        let stored: Tensor = projector.basis(for: gradient, rank: 4, previous: nil, seed: 2)
        let empty: Tensor = projector.emptyBasis(of: 10, rank: 4, like: gradient)
        #expect(stored.shape == empty.shape && stored.dtype == empty.dtype)
        #expect(stored.byteCount == (kind == .dct ? 4 * 4 : 8 * 4 * 10))
        let columns: Tensor = projector.columns(stored, of: 10, like: gradient)
        #expect(columns.shape == [10, 4])
        #expect(columns.transposed().matmul(columns).isClose(to: .eye(4, dtype: .float64, device: .cpu), relative: 0, absolute: 1e-12))
        #expect(projector.basis(for: gradient, rank: 4, previous: nil, seed: 2).isEqual(to: stored))
    }

    /// Singular vectors leave the least error, and block power iterations approach it; random directions leave the most.
    @Test func errorsAreOrdered() {
        var power: Tensor?
        for _ in 0..<20 { power = BlockPowerProjector().basis(for: gradient, rank: 3, previous: power, seed: 1) }
        let best: Double = error(SVDProjector().basis(for: gradient, rank: 3, previous: nil, seed: 0))
        let tail: [Double] = gradient.singularValues().array()
        #expect(abs(best - tail.dropFirst(3).map { $0 * $0 }.reduce(0, +)) < 1e-10)
        #expect(abs(error(power!) - best) < 1e-8)
        #expect(error(SVDProjector().basis(for: gradient, rank: 10, previous: nil, seed: 0)) < 1e-20)
        let dct: Tensor = DCTProjector(norm: .l2).columns(
            DCTProjector(norm: .l2).basis(for: gradient, rank: 3, previous: nil, seed: 0), of: 10, like: gradient)
        let random: [Double] = (0..<8).map { error(RandomOrthogonalProjector().basis(for: gradient, rank: 3, previous: nil, seed: $0)) }
        #expect(best < error(dct) && error(dct) < random.reduce(0, +) / 8)
        #expect(Set(random).count == 8)
    }

    private func error(_ columns: Tensor) -> Double {
        (gradient - gradient.matmul(columns).matmul(columns.transposed())).square().sum().item()
    }
}
