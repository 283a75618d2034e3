import Torch

extension TokenBatch {
    /// Tokens and targets as int64 tensors `[rows, length]`.
    public func tensors(device: Device = .default) -> (tokens: Tensor, targets: Tensor) {
        let shape: [Int] = [rows, length]
        return (Tensor(tokens, shape, dtype: .int64, device: device), Tensor(targets, shape, dtype: .int64, device: device))
    }
}
