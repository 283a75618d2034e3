import NN
import Torch
import Training

/// An `Embedding` whose rows are spread over ranks: each looks up what it holds, and the sum is the vector.
public final class VocabParallelEmbedding: Embedding {
    let group: ProcessGroup
    private let first: Int

    /// - Parameters:
    ///   - full: the table that is cut; its tensor is copied.
    ///   - group: the ranks that share it; they have to divide its rows.
    public convenience init(_ full: Embedding, group: ProcessGroup) {
        let piece: Tensor = ShardSpec(axis: 0).piece(of: full.weight, rank: group.rank, shards: group.worldSize)
        self.init(piece: piece, paddingIndex: full.paddingIndex, group: group)
    }

    /// - Parameters:
    ///   - piece: this rank's rows.
    ///   - paddingIndex: among all rows.
    ///   - group: the ranks that share the table.
    init(piece: Tensor, paddingIndex: Int?, group: ProcessGroup) {
        self.group = group
        let first: Int = group.rank * piece.dim(0)
        self.first = first
        super.init(weight: piece, paddingIndex: paddingIndex.map { $0 - first }.flatMap { (0..<piece.dim(0)).contains($0) ? $0 : nil })
    }

    public override func callAsFunction(_ indices: Tensor) -> Tensor {
        let local: Tensor = indices - first
        let isHere: Tensor = (local .>= 0) .&& (local .< count)
        let found: Tensor = super.callAsFunction(local.clamped(0, Double(count - 1)).asType(indices.dtype))
        return summedOverRanks(found * isHere.asType(found.dtype).expandedDimensions(axis: -1), group)
    }

    /// Logits of all rows, `[..., D]` to `[..., rows]`.
    public override func asLinear(_ x: Tensor) -> Tensor { gatheredFromRanks(super.asLinear(copiedToRanks(x, group)), group) }
}

/// An `Embedding` whose channels are spread over ranks, for tables whose number of rows the ranks do not divide.
public final class FeatureParallelEmbedding: Embedding {
    let group: ProcessGroup

    /// - Parameters:
    ///   - full: the table that is cut; its tensor is copied.
    ///   - group: the ranks that share it; they have to divide its channels.
    public convenience init(_ full: Embedding, group: ProcessGroup) {
        let piece: Tensor = ShardSpec(axis: 1).piece(of: full.weight, rank: group.rank, shards: group.worldSize)
        self.init(piece: piece, paddingIndex: full.paddingIndex, group: group)
    }

    init(piece: Tensor, paddingIndex: Int?, group: ProcessGroup) {
        self.group = group
        super.init(weight: piece, paddingIndex: paddingIndex)
    }

    public override func callAsFunction(_ indices: Tensor) -> Tensor { gatheredFromRanks(super.callAsFunction(indices), group) }

    /// Logits of all rows, `[..., D]` to `[..., rows]`.
    public override func asLinear(_ x: Tensor) -> Tensor { summedOverRanks(super.asLinear(dividedAmongRanks(x, group)), group) }
}
