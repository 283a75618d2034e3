import Torch

/// A batch that can be divided among ranks.
public protocol DivisibleBatch: Sendable {
    /// Number of examples.
    var rows: Int { get }

    /// Part `index` of `count` parts of one size. Traps unless `count` divides the rows.
    func part(_ index: Int, of count: Int) -> Self
}

extension TokenBatch: DivisibleBatch {
    public func part(_ index: Int, of count: Int) -> TokenBatch {
        precondition(rows % count == 0 && (0..<count).contains(index), "part \(index) of \(count) of \(rows) rows")
        let size: Int = rows / count * length
        let range: Range<Int> = index * size..<(index + 1) * size
        return TokenBatch(tokens: Array(tokens[range]), targets: Array(targets[range]), rows: rows / count)
    }
}

/// The part of a source's batches that one rank sees: the batch of a step is the same whatever the number of ranks.
public struct ShardedBatches<Source: BatchSource>: BatchSource where Source.Batch: DivisibleBatch {
    private let source: Source
    private let rank: Int
    private let worldSize: Int

    /// - Parameters:
    ///   - source: of the whole batches.
    ///   - rows: of a whole batch.
    ///   - group: the ranks.
    /// - Throws: `ConfigurationError` where the rows do not divide among the ranks.
    public init(_ source: Source, rows: Int, over group: ProcessGroup) throws {
        guard rows % group.worldSize == 0 else {
            let next: Int = (rows / group.worldSize + 1) * group.worldSize
            throw ConfigurationError(
                "a batch of \(rows) does not divide among \(group.worldSize) processes; take a multiple, such as \(next)")
        }
        self.source = source
        rank = group.rank
        worldSize = group.worldSize
    }

    public func batch(_ step: Int) throws -> Source.Batch { try source.batch(step).part(rank, of: worldSize) }

    /// Of the whole batch.
    public var itemsPerBatch: Int { source.itemsPerBatch }
    public var itemName: String { source.itemName }
}
