import Torch

/// How far a layer-wise adaptive step goes: `φ(‖x‖) / ‖u‖` for each parameter x and its update u (You et al. 2020, section 3).
struct TrustRatio {
    /// Bounds of φ(z) = min(max(z, lowest), highest); a nil one does not bind.
    let lowest: Double?
    let highest: Double?

    /// The ratios `[k]` of k parameters; 1 where the parameter or its update is zero.
    func callAsFunction(_ batch: UpdateBatch, _ updates: [Tensor]) -> Tensor {
        let (sizes, steps): (Tensor, Tensor) = (batch.norms(batch.parameters), batch.norms(updates))
        let bounded: Tensor = lowest == nil && highest == nil ? sizes : sizes.clamped(lowest, highest)
        return which((sizes .> 0) .&& (steps .> 0), bounded / steps, sizes.onesLike())
    }
}

extension UpdateBatch {
    /// Moves each parameter by `-learningRate · ratio · update` and keeps the ratios as the last state. Writes to the updates.
    func takeAdaptedSteps(_ updates: [Tensor], ratios: Tensor) {
        for (index, ratio) in ratios.unbound().enumerated() {
            updates[index].multiply_(ratio)
            state[state.count - 1][index].copy_(from: ratio)
        }
        TensorList.add_(parameters, updates, scale: -learningRate)
    }
}
