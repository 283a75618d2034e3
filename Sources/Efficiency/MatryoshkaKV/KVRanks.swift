import NN
import Torch

/// How many channels of keys and of values each key-value head of one layer keeps.
public struct KVRanks: Codable, Sendable, Equatable {
    public var keys: [Int]
    public var values: [Int]

    public init(keys: [Int], values: [Int]) {
        self.keys = keys
        self.values = values
    }

    /// The same rank everywhere.
    public init(heads: Int, rank: Int) {
        self.init(keys: Array(repeating: rank, count: heads), values: Array(repeating: rank, count: heads))
    }

    /// Numbers that are kept for each token.
    public var total: Int { keys.reduce(0, +) + values.reduce(0, +) }
}

/// The ranks of every layer of a model.
public struct KVRankPlan: Codable, Sendable, Equatable {
    /// First layer first.
    public var layers: [KVRanks]
    /// Channels of a head without compression, D.
    public var headDimensions: Int

    public init(layers: [KVRanks], headDimensions: Int) {
        self.layers = layers
        self.headDimensions = headDimensions
    }

    /// The same share of the channels in every head, rounded to the nearest rank and at least 1.
    /// - Parameters:
    ///   - budget: share that is kept, in `0 ... 1`.
    ///   - plan: whose layers and heads it is for.
    public static func uniform(budget: Double, like plan: KVRankPlan) -> KVRankPlan {
        let rank: Int = min(plan.headDimensions, max(1, Int((budget * Double(plan.headDimensions)).rounded())))
        return KVRankPlan(
            layers: plan.layers.map { KVRanks(heads: $0.keys.count, rank: rank) }, headDimensions: plan.headDimensions)
    }

    public var total: Int { layers.reduce(0) { $0 + $1.total } }

    /// The share of the cache's numbers that is kept.
    public var budget: Double {
        let heads: Int = layers.reduce(0) { $0 + $1.keys.count + $1.values.count }
        return Double(total) / Double(max(1, heads * headDimensions))
    }

    /// Ranks are changed in eighths of a head's channels.
    var step: Int { max(1, headDimensions / 8) }
}

/// Keys and values of each head in the first channels of its own basis, as they are cached: side by side without gaps, so that a token takes exactly
/// the sum of the ranks.
public struct CompressedKVCache {
    public let ranks: KVRanks
    /// Keys `[B, S, 1, Σ r_K]` and values `[B, S, 1, Σ r_V]`.
    public private(set) var ring: KVRing

    /// - Parameters:
    ///   - ranks: of the heads.
    ///   - ring: of the tokens before; an empty one in the beginning.
    public init(ranks: KVRanks, ring: KVRing) {
        self.ranks = ranks
        self.ring = ring
    }

    /// What was held and new tokens, before the oldest are dropped.
    /// - Parameters:
    ///   - keys: `[B, T, Σ r_K]`, see ``packed(_:ranks:)``.
    ///   - values: `[B, T, Σ r_V]`.
    ///   - mask: `[B, T]`, 1 for real tokens; nil when all are.
    public func extended(keys: Tensor, values: Tensor, mask: Tensor?) -> CompressedKVCache {
        let seen: KVRing = ring.extended(
            keys: keys.expandedDimensions(axis: 2), values: values.expandedDimensions(axis: 2), mask: mask)
        return CompressedKVCache(ranks: ranks, ring: seen)
    }

    /// Keys `[B, S, H, r]` with the largest rank; the channels that a head does not keep are 0.
    public var keys: Tensor? { ring.keys.map { Self.unpacked($0.squeezed(axis: 2), ranks: ranks.keys) } }

    /// Values, likewise.
    public var values: Tensor? { ring.values.map { Self.unpacked($0.squeezed(axis: 2), ranks: ranks.values) } }

    public var byteCount: Int { [ring.keys, ring.values, ring.mask].reduce(0) { $0 + ($1?.byteCount ?? 0) } }

    /// The first channels of each head `[B, T, H, D]`, side by side: `[B, T, Σ ranks]`.
    public static func packed(_ heads: Tensor, ranks: [Int]) -> Tensor {
        let width: Int = heads.dim(3)
        if let rank = common(ranks) { return heads.narrowed(axis: 3, start: 0, length: rank).flattened(from: 2) }
        let places: [Int] = ranks.enumerated().flatMap { head, rank in (0..<rank).map { head * width + $0 } }
        return heads.flattened(from: 2).indexSelect(axis: 2, indices: Tensor(places, device: heads.device))
    }

    /// The inverse of ``packed(_:ranks:)`` up to the largest rank: `[B, T, H, r]`, with zeros where a head keeps less.
    public static func unpacked(_ packed: Tensor, ranks: [Int]) -> Tensor {
        let (width, gap): (Int, Int) = (ranks.max() ?? 0, packed.dim(2))
        let shape: [Int] = [packed.dim(0), packed.dim(1), ranks.count, width]
        if common(ranks) != nil { return packed.reshaped(shape) }
        var (places, start): ([Int], Int) = ([], 0)
        for rank in ranks {
            places += (0..<width).map { $0 < rank ? start + $0 : gap }
            start += rank
        }
        return packed.padded([(0, 1)]).indexSelect(axis: 2, indices: Tensor(places, device: packed.device)).reshaped(shape)
    }

    private static func common(_ ranks: [Int]) -> Int? { Set(ranks).count == 1 ? ranks.first : nil }
}
