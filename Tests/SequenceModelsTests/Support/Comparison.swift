import Testing
import Torch

/// Largest difference between two tensors over the largest entry of the second; infinite where shapes differ or an entry is not a number.
func relativeError(_ found: Tensor, _ expected: Tensor) -> Double {
    guard found.shape == expected.shape else { return .infinity }
    if expected.count == 0 { return 0 }
    let difference: Double = (found.asType(.float64) - expected.asType(.float64)).abs().max().item()
    let size: Double = expected.asType(.float64).abs().max().item()
    return difference.isFinite ? difference / Swift.max(size, 1e-300) : .infinity
}

/// As ``relativeError(_:_:)``, against at least 1 where the expected entries are all small.
func scaledError(_ found: Tensor, _ expected: Tensor) -> Double {
    guard found.shape == expected.shape else { return .infinity }
    let difference: Double = (found.asType(.float64) - expected.asType(.float64)).abs().max().item()
    let size: Double = expected.asType(.float64).abs().max().item()
    return difference.isFinite ? difference / Swift.max(size, 1) : .infinity
}

/// Outputs of a function of several tensors, and the gradients of their sum weighted with fixed random numbers.
func outputsAndGradients(_ inputs: [Tensor], _ function: ([Tensor]) -> [Tensor]) -> (outputs: [Tensor], gradients: [Tensor]) {
    let leaves: [Tensor] = inputs.map { $0.detached().requiringGrad() }
    let outputs: [Tensor] = function(leaves)
    let generator: RandomGenerator = RandomGenerator(seed: 99, device: .cpu)
    // Drawn in float64, so that every dtype gets the same.
    let weights: [Tensor] = outputs.map { .normal($0.shape, dtype: .float64, device: .cpu, generator: generator).asType($0.dtype) }
    return (outputs.map { $0.detached() }, gradients(of: outputs, withRespectTo: leaves, outputGradients: weights))
}
