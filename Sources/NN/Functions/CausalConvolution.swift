import Torch

/// A causal convolution along time, each channel by itself: `y_t = bias + Σ_j weight[:, j] x_{t-(W-1)+j}`, so that the last column
/// of the weights meets the current step. Steps before the first are the state's, or zero.
///
/// The state is the newest inputs, oldest first, before the convolution: `[B, S, C]` with S at least W − 1; what lies further back is
/// only handed on. A state of another layout, `[B, C, S]`, is this one with its last two axes swapped.
/// - Parameters:
///   - x: `[B, T, C]`.
///   - weight: `[C, W]`, or `[C, 1, W]` as convolution layers keep it.
///   - bias: `[C]`.
///   - state: `[B, S, C]`; nil is zeros with S = W − 1.
///   - lengths: real steps of each row, `[B]` (int64), which come first; nil when all are. Outputs at the others mean nothing.
///   - activation: applied to the outputs.
/// - Returns: outputs `[B, T, C]` and the last S real steps of state and `x` together.
public func shortConvolution(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, state: Tensor? = nil, lengths: Tensor? = nil, activation: Activation = .identity
) -> (output: Tensor, state: Tensor) {
    precondition(x.ndim == 3, "shortConvolution needs [B, T, C]; shape is \(x.shape)")
    let (batch, channels, width): (Int, Int, Int) = (x.dim(0), x.dim(2), weight.dim(-1))
    let before: Tensor = state ?? .zeros([batch, width - 1, channels], dtype: x.dtype, device: x.device)
    let kept: Int = before.dim(1)
    precondition(kept >= width - 1, "a convolution over \(width) steps needs a state of \(width - 1), not \(kept)")
    let all: Tensor = kept == 0 ? x : concatenated([before, x], axis: 1)
    let seen: Int = x.dim(1) + width - 1
    let input: Tensor = all.narrowed(axis: 1, start: all.dim(1) - seen, length: seen)
    let output: Tensor = input.swappedAxes(1, 2).conv1d(weight: weight.reshaped(channels, 1, width), bias: bias, groups: channels)
    return (activation(output.swappedAxes(1, 2)), newestSteps(kept, of: all, lengths: lengths))
}

/// The last `count` real steps of `[B, count + T, C]`, of whose last T steps in each row the first `lengths` are real.
private func newestSteps(_ count: Int, of all: Tensor, lengths: Tensor?) -> Tensor {
    guard let lengths else { return all.narrowed(axis: 1, start: all.dim(1) - count, length: count) }
    let places: Tensor = lengths.expandedDimensions(axis: 1) + Tensor.arange(count, device: all.device)
    return all.takeAlong(places.expandedDimensions(axis: 2), axis: 1)
}
