import Torch

/// Normal numbers in float64, the same for the same shape and seed.
func normal(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
    .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
}
