import Torch

extension UpdateBatch {
    /// The step count once for each parameter, as libtorch's fused Adam kernels take it: a float32 scalar on the device.
    func fusedStepCounts() -> [Tensor] {
        let count: Tensor = Tensor.full([], Double(step), dtype: .float32, device: parameters[0].device)
        return Array(repeating: count, count: parameters.count)
    }

    /// `gradient + weightDecay · parameter`: the gradient of an L2 penalty of `weightDecay / 2 · |p|²` beside the loss.
    func penalizedGradients() -> [Tensor] {
        weightDecay == 0 ? gradients : TensorList.add(gradients, parameters, scale: weightDecay)
    }

    /// `parameter *= 1 - learningRate · weightDecay`.
    func decayParameters() {
        if weightDecay != 0 { TensorList.multiply_(parameters, by: 1 - learningRate * weightDecay) }
    }
}
