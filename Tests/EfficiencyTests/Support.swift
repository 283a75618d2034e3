import NN
import Torch

@testable import Efficiency

/// Normal numbers in float64, the same for the same shape and seed.
func normal(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
    .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
}

/// Vectors `[rows, dimensions]` of one length.
func vectors(_ rows: Int, _ dimensions: Int, length: Double, seed: UInt64) -> Tensor {
    normal([rows, dimensions], seed: seed).scaled(to: length)
}

func largest(_ x: Tensor) -> Double { x.abs().max().item(Double.self) }

extension RandomFeatureKind {
    /// A map in float64.
    func precise(
        _ dimensions: Int, count: Int, orthogonal: Bool = true, seed: UInt64 = 7
    ) -> any RandomFeatureMap {
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
        let map: any RandomFeatureMap = make(dimensions, count: count, orthogonal: orthogonal, generator: generator)
        map.to(dtype: .float64)
        return map
    }
}
