import NN
import Torch
import Training

/// The copy of one tensor that enters several layers of a pair, such as a block's queries, keys and values: it is copied to the ranks once, so that
/// its gradient is summed over them once. The layer that ends the pair lets it go.
final class SharedInput {
    private let group: ProcessGroup
    private var seen: Tensor?
    private var copy: Tensor?

    init(_ group: ProcessGroup) { self.group = group }

    func copied(_ x: Tensor) -> Tensor {
        // A copy that was made without gradients is of no use to a pass with them.
        if seen === x, let copy, copy.requiresGrad == (x.requiresGrad && isGradEnabled) { return copy }
        let fresh: Tensor = copiedToRanks(x, group)
        (seen, copy) = (x, fresh)
        return fresh
    }

    func release() { (seen, copy) = (nil, nil) }
}

/// A rank's outputs of a `Linear` whose weight is cut along the outputs: from `[..., inputDimensions]`, the same on all ranks, to this rank's
/// `[..., outputDimensions / ranks]`, or to all channels.
public final class ColumnParallelLinear: Linear {
    /// What the layer gives.
    public enum Output: String, Sendable {
        /// This rank's channels, for code that works with any number of them.
        case own
        /// This rank's channels among zeros for the others': for code that needs the whole width, but for a channel only those of the same rank.
        case padded
        /// The channels of all ranks.
        case joined
    }

    let group: ProcessGroup
    /// Blocks that are fused along the outputs.
    let parts: Int
    private let shared: SharedInput?
    public internal(set) var output: Output

    /// - Parameters:
    ///   - full: the layer that is cut; its tensors are copied.
    ///   - group: the ranks that share it; they have to divide its outputs.
    ///   - parts: blocks that are fused along the outputs, each of which is cut.
    ///   - output: what the layer gives.
    public convenience init(_ full: Linear, group: ProcessGroup, parts: Int = 1, output: Output = .own) {
        let spec: ShardSpec = ShardSpec(axis: 0, parts: parts)
        self.init(
            weight: spec.piece(of: full.weight, rank: group.rank, shards: group.worldSize),
            bias: full.bias.map { spec.piece(of: $0, rank: group.rank, shards: group.worldSize) }, group: group, parts: parts,
            output: output, shared: nil)
    }

    init(weight: Tensor, bias: Tensor?, group: ProcessGroup, parts: Int, output: Output, shared: SharedInput?) {
        self.group = group
        self.parts = parts
        self.output = output
        self.shared = shared
        super.init(weight: weight, bias: bias)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        let own: Tensor = super.callAsFunction(shared?.copied(x) ?? copiedToRanks(x, group))
        switch output {
        case .own: return own
        case .padded: return padded(own)
        case .joined: return gatheredFromRanks(own, group, parts: parts)
        }
    }

    /// Zeros in the places of the other ranks' channels.
    private func padded(_ own: Tensor) -> Tensor {
        let size: Int = own.dim(own.ndim - 1) / parts
        let place: (before: Int, after: Int) = (group.rank * size, (group.worldSize - 1 - group.rank) * size)
        return concatenated(own.split(size: size, axis: -1).map { $0.padded([place]) }, axis: -1)
    }
}

/// A rank's share of a `Linear` whose weight is cut along the inputs: the ranks' products are summed, and the bias, which every rank holds, is added
/// once. Of an input that has all channels it takes its own.
public final class RowParallelLinear: Linear {
    let group: ProcessGroup
    /// What entered the layers before, where they form a pair with this one.
    private let shared: SharedInput?
    /// Whether an input of the whole width holds only this rank's channels, and not those of all.
    var readsPadded: Bool = false

    /// - Parameters:
    ///   - full: the layer that is cut; its tensors are copied.
    ///   - group: the ranks that share it; they have to divide its inputs.
    public convenience init(_ full: Linear, group: ProcessGroup) {
        self.init(
            weight: ShardSpec(axis: 1).piece(of: full.weight, rank: group.rank, shards: group.worldSize),
            bias: full.bias.map { ShardSpec.replicated.piece(of: $0, rank: 0, shards: 1) }, group: group, shared: nil)
    }

    init(weight: Tensor, bias: Tensor?, group: ProcessGroup, shared: SharedInput?) {
        self.group = group
        self.shared = shared
        super.init(weight: weight, bias: bias)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        shared?.release()
        let sum: Tensor = summedOverRanks(linear(own(x), weight: weight), group)
        return bias.map { sum + $0 } ?? sum
    }

    private func own(_ x: Tensor) -> Tensor {
        if x.dim(x.ndim - 1) == inputDimensions { return x }
        return readsPadded
            ? x.narrowed(axis: -1, start: group.rank * inputDimensions, length: inputDimensions) : dividedAmongRanks(x, group)
    }
}

/// A `Linear` that every rank holds whole and of which it computes the outputs that it needs: keys and values of grouped queries where there are
/// fewer heads than ranks. Its gradient is summed over the ranks.
public final class ReplicatedOutputLinear: Linear {
    let group: ProcessGroup
    /// The rows that this rank computes.
    let rows: Range<Int>
    private let shared: SharedInput

    init(weight: Tensor, bias: Tensor?, group: ProcessGroup, rows: Range<Int>, shared: SharedInput) {
        self.group = group
        self.rows = rows
        self.shared = shared
        super.init(weight: weight, bias: bias)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        linear(shared.copied(x), weight: needed(weight), bias: bias.map(needed))
    }

    private func needed(_ tensor: Tensor) -> Tensor {
        copiedToRanks(tensor, group).narrowed(axis: 0, start: rows.lowerBound, length: rows.count)
    }
}
