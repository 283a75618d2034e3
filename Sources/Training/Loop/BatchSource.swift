/// Where a training run's batches come from.
///
/// The batch is a pure function of the step (and of the source's seed), so that the position in the data is the step itself: a resumed
/// run sees the batches that an unbroken one would have seen, and batches can be prepared ahead on another thread.
public protocol BatchSource<Batch>: Sendable {
    associatedtype Batch: Sendable

    /// The batch of a step, counted from 0.
    func batch(_ step: Int) throws -> Batch

    /// What a batch counts for in the throughput: tokens, or samples.
    var itemsPerBatch: Int { get }
    /// The unit of the throughput, such as "tokens".
    var itemName: String { get }
}

/// Token sequences with the token that is wanted after each place.
public struct TokenBatch: Sendable, Equatable {
    /// A target that the loss passes over.
    public static let ignored: Int32 = -100

    /// Row by row, `rows · length` of them.
    public var tokens: [Int32]
    /// As `tokens`; ``ignored`` where nothing is asked.
    public var targets: [Int32]
    public let rows: Int

    public var length: Int { tokens.count / max(rows, 1) }

    /// Traps unless the arrays agree and divide into rows.
    public init(tokens: [Int32], targets: [Int32], rows: Int) {
        precondition(tokens.count == targets.count && rows > 0 && tokens.count % rows == 0, "rows of equal length, a target for each token")
        self.tokens = tokens
        self.targets = targets
        self.rows = rows
    }
}

/// A source made of a closure, for generated data.
public struct GeneratedBatches<Batch: Sendable>: BatchSource {
    public let itemsPerBatch: Int
    public let itemName: String
    private let make: @Sendable (Int) throws -> Batch

    public init(itemsPerBatch: Int, itemName: String, make: @escaping @Sendable (Int) throws -> Batch) {
        self.itemsPerBatch = itemsPerBatch
        self.itemName = itemName
        self.make = make
    }

    public func batch(_ step: Int) throws -> Batch { try make(step) }
}
