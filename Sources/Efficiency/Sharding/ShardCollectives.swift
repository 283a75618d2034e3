import Torch
import Training

// The conjugate pairs of tensor parallelism: what is the identity forward is a sum backward and the other way round, and what joins pieces forward
// cuts them backward. Each backward is made of the others, so that derivatives of any order exist.
//
// A collective that fails (a rank died, a time-out) is reported as an operator's failure: a thrown error under `withCollectiveErrors`, else a trap.

/// Forward the tensor itself, backward the sum of the ranks' gradients: what enters layers of which each rank holds a share.
/// - Parameters:
///   - x: the same on all ranks.
///   - group: the ranks that share the layer.
public func copiedToRanks(_ x: Tensor, _ group: ProcessGroup) -> Tensor {
    if group.worldSize == 1 { return x }
    return customFunction("copiedToRanks", [x]) { inputs in
        ([inputs[0]], { [$0[0].map { summedOverRanks($0, group) }] })
    }[0]
}

/// Forward the sum over the ranks, backward the gradient itself: what leaves layers of which each rank holds a share.
/// - Parameters:
///   - x: a rank's share of the sum.
///   - group: the ranks that share the layer.
public func summedOverRanks(_ x: Tensor, _ group: ProcessGroup) -> Tensor {
    if group.worldSize == 1 { return x }
    return customFunction("summedOverRanks", [x]) { inputs in
        let sum: Tensor = inputs[0].cloned().contiguous()
        reportingFailure("summedOverRanks") { try group.allReduce(sum, .sum) }
        return ([sum], { [$0[0].map { copiedToRanks($0, group) }] })
    }[0]
}

/// Forward the ranks' pieces of the last axis joined, backward this rank's piece of the gradient.
/// - Parameters:
///   - x: `[..., D / ranks]`.
///   - group: the ranks that hold the pieces.
///   - parts: blocks that are fused in a piece; see ``ShardSpec/parts``.
/// - Returns: `[..., D]`, the same on all ranks.
public func gatheredFromRanks(_ x: Tensor, _ group: ProcessGroup, parts: Int = 1) -> Tensor {
    if group.worldSize == 1 { return x }
    return customFunction("gatheredFromRanks", [x]) { inputs in
        var pieces: [Tensor] = Array(repeating: inputs[0], count: group.worldSize)
        reportingFailure("gatheredFromRanks") { pieces = try group.allGather(inputs[0].contiguous()) }
        let joined: Tensor = ShardSpec.joined(pieces, axis: inputs[0].ndim - 1, parts: parts)
        return ([joined], { [$0[0].map { dividedAmongRanks($0, group, parts: parts) }] })
    }[0]
}

/// Forward this rank's piece of the last axis, backward the ranks' gradients joined.
/// - Parameters:
///   - x: `[..., D]`, the same on all ranks.
///   - group: the ranks that get the pieces.
///   - parts: blocks that are fused in the axis; see ``ShardSpec/parts``.
/// - Returns: `[..., D / ranks]`.
public func dividedAmongRanks(_ x: Tensor, _ group: ProcessGroup, parts: Int = 1) -> Tensor {
    if group.worldSize == 1 { return x }
    return customFunction("dividedAmongRanks", [x]) { inputs in
        let spec: ShardSpec = ShardSpec(axis: inputs[0].ndim - 1, parts: parts)
        let piece: Tensor = spec.piece(of: inputs[0], rank: group.rank, shards: group.worldSize)
        return ([piece], { [$0[0].map { gatheredFromRanks($0, group, parts: parts) }] })
    }[0]
}

/// Cross entropy of logits whose classes are spread over ranks, without ever joining them: the ranks exchange three numbers a row (the largest logit,
/// the sum of exponentials, the target's logit).
/// - Parameters:
///   - logits: `[N, V / ranks]`, the classes of this rank, which follow those of the rank before.
///   - targets: `[N]`, int64, over all V classes; the same on all ranks.
///   - group: the ranks that share the classes.
///   - ignoredIndex: a target that does not count.
/// - Returns: the mean over the targets that count, the same on all ranks.
public func vocabularyParallelCrossEntropy(
    _ logits: Tensor, _ targets: Tensor, _ group: ProcessGroup, ignoredIndex: Int = -100
) -> Tensor {
    let first: Int = group.rank * logits.dim(1)
    let largest: Tensor = noGrad {
        let largest: Tensor = logits.max(axis: 1).detached().cloned()
        if group.worldSize > 1 { reportingFailure("vocabularyParallelCrossEntropy") { try group.allReduce(largest, .maximum) } }
        return largest
    }
    let shifted: Tensor = logits - largest.expandedDimensions(axis: 1)
    let total: Tensor = summedOverRanks(shifted.exp().sum(axis: 1), group)
    let local: Tensor = targets - first
    let isHere: Tensor = (local .>= 0) .&& (local .< logits.dim(1))
    let place: Tensor = local.clamped(0, Double(logits.dim(1) - 1)).asType(.int64).expandedDimensions(axis: 1)
    let own: Tensor = shifted.gather(axis: 1, indices: place).squeezed(axis: 1) * isHere.asType(logits.dtype)
    let losses: Tensor = total.log() - summedOverRanks(own, group)
    let counts: Tensor = (targets .!= ignoredIndex).asType(logits.dtype)
    return (losses * counts).sum() / counts.sum()
}
