import Foundation
import NN
import Torch

/// K learned tables of `2^bits` rows: `y = Σ_k weight_k · T_k[code_k] + bias`, for codes that a ``MemoryHash`` made.
public final class MemoryTables: Module, CostedLayer {
    /// The tables one below the other, `[K · 2^bits, outputDimensions]`.
    public let tables: Tensor
    /// `[outputDimensions]`
    public let bias: Tensor
    public let tableCount: Int
    public let bits: Int
    private let counter: BucketCounter = BucketCounter()

    /// Rows start as N(0, σ²), the bias as N(0, 0.001²).
    /// - Parameters:
    ///   - tableCount: K.
    ///   - outputDimensions: channels of a row.
    ///   - bits: of a code.
    ///   - standardDeviation: σ.
    ///   - generator: of the first values; nil takes the shared one.
    public init(_ tableCount: Int, _ outputDimensions: Int, bits: Int, standardDeviation: Double = 0.02, generator: RandomGenerator? = nil)
    {
        precondition(tableCount > 0 && outputDimensions > 0, "MemoryTables: \(tableCount) tables of \(outputDimensions) channels")
        self.tableCount = tableCount
        self.bits = bits
        tables = .normal([tableCount << bits, outputDimensions], standardDeviation: standardDeviation, generator: generator)
        bias = .normal([outputDimensions], standardDeviation: 0.001, generator: generator)
        super.init()
    }

    public var outputDimensions: Int { tables.dim(1) }

    public var multiplyAccumulates: Int { tableCount * outputDimensions }

    /// Codes and weights `[..., K]` to `[..., outputDimensions]`. The rows that are read are never gathered into a tensor of their own.
    public func callAsFunction(_ encoded: MemoryCodes) -> Tensor {
        precondition(
            encoded.codes.dim(-1) == tableCount, "MemoryTables: codes for \(encoded.codes.dim(-1)) tables, there are \(tableCount)")
        let starts: Tensor = Tensor.arange(tableCount, device: encoded.codes.device) * (1 << bits)
        let rows: Tensor = (encoded.codes + starts).reshaped(-1, tableCount)
        counter.add(rows, buckets: tables.dim(0))
        let weights: Tensor = encoded.weights.asType(tables.dtype).reshaped(-1, tableCount)
        let sums: Tensor = weightedRowSums(rows, table: tables, weights: weights)
        return sums.reshaped(Array(encoded.codes.shape.dropLast()) + [outputDimensions]) + bias
    }

    /// How often each row was read while ``recordsBucketUsage`` was set; nil where nothing was recorded.
    public var bucketUsage: BucketUsage? {
        counter.counts.map { BucketUsage(counts: $0.reshaped(tableCount, 1 << bits).array(Int.self), tables: tableCount) }
    }

    /// Whether calls are counted by row. Setting it begins a new count.
    public var recordsBucketUsage: Bool {
        get { counter.isCounting }
        set {
            counter.isCounting = newValue
            if newValue { counter.counts = nil }
        }
    }
}

/// Counts of rows, apart from the module's own tensors.
private final class BucketCounter {
    var isCounting: Bool = false
    var counts: Tensor?

    func add(_ rows: Tensor, buckets: Int) {
        guard isCounting else { return }
        let found: Tensor = rows.flattened().binCounts(minimumLength: buckets)
        counts = counts.map { $0 + found } ?? found
    }
}

/// How often the rows of tables were read.
public struct BucketUsage: Sendable, Equatable {
    /// By table and row.
    public let counts: [[Int]]

    init(counts: [Int], tables: Int) {
        let rows: Int = counts.count / tables
        self.counts = (0..<tables).map { Array(counts[$0 * rows..<($0 + 1) * rows]) }
    }

    /// Entropy of each table's reads, in bits; as large as the code where all rows are read alike.
    public var entropies: [Double] {
        counts.map { table in
            let total: Double = Double(table.reduce(0, +))
            return table.reduce(0) { sum, count in
                let share: Double = Double(count) / max(total, 1)
                return count == 0 ? sum : sum - share * log2(share)
            }
        }
    }

    /// Mean entropy of the tables, in bits.
    public var entropy: Double { entropies.reduce(0, +) / Double(max(entropies.count, 1)) }
}

/// A layer without multiplications by a matrix: `[..., inputDimensions]` to `[..., outputDimensions]` by lookups in tables
/// (Ding et al., *MemoryFormer*, 2024, arXiv 2411.12992, equation 6).
///
/// It costs `K · outputDimensions` multiply-accumulates a vector, 1/bits of the dense layer's, and keeps `K · 2^bits · outputDimensions` numbers. It is
/// not affine and so no `LinearMap`.
public final class MemoryLayer: Module, UnaryLayer {
    public let hash: MemoryHash
    @ModuleInfo(key: "") public var lookup: MemoryTables

    /// Traps unless the bits divide the input's channels.
    /// - Parameters:
    ///   - inputDimensions: channels that are hashed.
    ///   - outputDimensions: channels of a row.
    ///   - bits: τ, signs in a code.
    ///   - weighting: of the rows.
    ///   - temperature: of the probability in the weight.
    ///   - standardDeviation: of the tables' first values.
    ///   - generator: of the first values; nil takes the shared one.
    public init(
        _ inputDimensions: Int, _ outputDimensions: Int, bits: Int = 8, weighting: MemoryWeighting = .scaledProbability,
        temperature: Double = 1, standardDeviation: Double = 0.02, generator: RandomGenerator? = nil
    ) {
        hash = MemoryHash(inputDimensions, bits: bits, weighting: weighting, temperature: temperature)
        super.init()
        lookup = MemoryTables(
            hash.tableCount, outputDimensions, bits: bits, standardDeviation: standardDeviation, generator: generator)
    }

    public var inputDimensions: Int { hash.dimensions }
    public var outputDimensions: Int { lookup.outputDimensions }
    public var multiplyAccumulates: Int { lookup.multiplyAccumulates }

    public func callAsFunction(_ x: Tensor) -> Tensor { lookup(hash.encode(x)) }

    /// How often each row was read; see ``MemoryTables/bucketUsage``.
    public var bucketUsage: BucketUsage? { lookup.bucketUsage }
}

extension Module {
    /// Runs `body` and counts meanwhile which rows of the ``MemoryTables`` below this module are read.
    /// - Returns: the counts by dotted path, of the tables that were read.
    public func bucketUsage(during body: () throws -> Void) rethrows -> [(path: String, bits: Int, usage: BucketUsage)] {
        let found: [(path: String, tables: MemoryTables)] = namedModules().compactMap { path, module in
            (module as? MemoryTables).map { (path, $0) }
        }
        for (_, tables) in found { tables.recordsBucketUsage = true }
        defer { for (_, tables) in found { tables.recordsBucketUsage = false } }
        try body()
        return found.compactMap { path, tables in tables.bucketUsage.map { (path, tables.bits, $0) } }
    }
}
