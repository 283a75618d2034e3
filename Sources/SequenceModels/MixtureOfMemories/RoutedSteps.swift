import Torch

/// Where the tokens of a batch go when each is sent to k of N memories: for each sequence and memory the tokens that it gets, in order of time,
/// as `B · N` sequences padded on the right to the longest, L.
public struct RoutedSteps {
    public let batch: Int
    /// Tokens of a sequence, T.
    public let length: Int
    /// N.
    public let memories: Int
    /// L, at least 1.
    public let longest: Int
    /// Tokens that each memory gets, `[B, N]` (int64).
    public let counts: Tensor
    /// True at the places of `[B, N, L]` that hold a token.
    public let mask: Tensor
    /// For each place of `[B, N, L]` the token in it, a row of `[B · T]`; any token where the mask is false.
    private let sources: Tensor
    /// For each token and choice the place that holds it, a row of `[B · N · L]`; any place where `isKept` is false.
    private let places: Tensor
    /// `[B, T, k]`.
    private let isKept: Tensor

    /// - Parameters:
    ///   - indices: k different memories for each token, `[B, T, k]` (int64).
    ///   - memories: N.
    ///   - tokens: `[B, T]`, 1 for real tokens; the others go nowhere.
    ///   - capacity: most tokens that a memory gets; it takes the newest. Nil is no limit.
    public init(indices: Tensor, memories: Int, tokens: Tensor? = nil, capacity: Int? = nil) {
        precondition(indices.ndim == 3, "routed steps need [B, T, k] memories; shape is \(indices.shape)")
        precondition(capacity ?? 1 > 0, "a memory has room for at least one token, not \(capacity ?? 0)")
        (batch, length) = (indices.dim(0), indices.dim(1))
        self.memories = memories
        var chosen: Tensor = Tensor.zeros([batch, length, memories], dtype: .int64, device: indices.device)
            .scatter(axis: 2, indices: indices, value: 1).masked(by: tokens.map { $0 .!= 0 })
        if let capacity { chosen = chosen * (chosen.reverseCumulativeSum(axis: 1) .<= capacity).asType(.int64) }
        let byMemory: Tensor = chosen.swappedAxes(1, 2)
        counts = byMemory.sum(axis: 2)
        longest = max(1, counts.max().item(Int.self))
        mask = Tensor.arange(longest, device: indices.device) .< counts.expandedDimensions(axis: 2)
        let rows: Tensor = Tensor.arange(batch, device: indices.device).reshaped(batch, 1, 1)
        // A stable sort keeps the order of time.
        sources = byMemory.argSort(axis: 2, descending: true).narrowed(axis: 2, start: 0, length: longest) + rows * length
        let order: Tensor = ((chosen.cumulativeSum(axis: 1) - 1) * chosen).gather(axis: 2, indices: indices)
        places = (rows * memories + indices) * longest + order
        isKept = chosen.gather(axis: 2, indices: indices)
    }

    fileprivate func packed(_ x: Tensor) -> Tensor {
        precondition(x.ndim == 3 && x.dim(0) == batch && x.dim(1) == length, "\(x.shape) for routed steps of [\(batch), \(length)]")
        return x.flattened(from: 0, to: 1).indexSelect(axis: 0, indices: sources.flattened())
            .reshaped(batch, memories, longest, x.dim(2))
    }

    fileprivate func unpacked(_ outputs: Tensor, weights: Tensor) -> Tensor {
        let expected: [Int] = [batch, memories, longest]
        precondition(
            outputs.ndim == 4 && Array(outputs.shape.prefix(3)) == expected && weights.shape == isKept.shape,
            "outputs \(outputs.shape) and weights \(weights.shape) for routed steps of \(expected) and \(isKept.shape)")
        let read: Tensor = outputs.flattened(from: 0, to: 2).indexSelect(axis: 0, indices: places.flattened())
            .reshaped(isKept.shape + [outputs.dim(3)])
        let shares: Tensor = (weights * isKept.asType(weights.dtype)).asType(outputs.dtype)
        return (read * shares.expandedDimensions(axis: 3)).sum(axis: 2)
    }
}

/// The tokens `[B, T, C]` that each memory gets, in order of time: `[B, N, L, C]`. What stands beside ``RoutedSteps/mask`` means nothing.
public func packByMemory(_ x: Tensor, _ steps: RoutedSteps) -> Tensor { steps.packed(x) }

/// The way back: for each token the sum over its memories of `weights` `[B, T, k]` times what the memory has for it in `[B, N, L, C]`. A memory
/// that did not take the token counts as zero.
public func unpackByMemory(_ outputs: Tensor, _ steps: RoutedSteps, weights: Tensor) -> Tensor { steps.unpacked(outputs, weights: weights) }
