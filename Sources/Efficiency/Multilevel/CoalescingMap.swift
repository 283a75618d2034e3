import Torch

/// How the channels of a wide layer are joined to those of a narrow one, and taken apart again (arXiv 2404.07999, section 3).
public struct CoalescingMap {
    /// F `[small, large]`: each narrow channel is a weighted mean of wide ones. Rows sum to 1.
    public let average: Tensor
    /// T `[large, small]`, `Fᵀ` with its rows scaled to sum to 1: each wide channel is a mean of narrow ones.
    public let spread: Tensor

    public var large: Int { average.dim(1) }
    public var small: Int { average.dim(0) }

    private init(_ average: Tensor) {
        self.average = average
        spread = Self.inputSide(of: average)
    }

    /// Joins whole heads: channel i with `i + d/k`, `i + 2d/k`, …, so head h with head `h + H/k`.
    /// - Parameters:
    ///   - dims: d, wide channels.
    ///   - headSize: channels of a head, which stay together; 1 where there are no heads.
    ///   - members: k, wide channels in a narrow one.
    public static func stack(dims: Int, headSize: Int = 1, members: Int = 2) -> CoalescingMap {
        precondition(
            members >= 1 && headSize >= 1 && dims % (members * headSize) == 0,
            "CoalescingMap: \(dims) channels do not make groups of \(members) whole heads of \(headSize)")
        let small: Int = dims / members
        let unit: Tensor = .eye(small, dtype: .float64, device: .cpu) / Double(members)
        return CoalescingMap(concatenated(Array(repeating: unit, count: members), axis: 1))
    }

    /// Any weighted means. Traps unless the rows of `average` `[small, large]` sum to 1 and every wide channel is in one of them.
    public static func custom(_ average: Tensor) -> CoalescingMap {
        let weights: Tensor = average.to(device: .cpu, dtype: .float64)
        precondition(weights.ndim == 2 && weights.dim(0) <= weights.dim(1), "CoalescingMap: a map of shape \(average.shape)")
        let rows: [Double] = weights.sum(axis: 1).array(), columns: [Double] = weights.sum(axis: 0).array()
        precondition(rows.allSatisfy { abs($0 - 1) < 1e-9 }, "CoalescingMap: rows sum to \(rows); each has to sum to 1")
        precondition(columns.allSatisfy { $0 > 0 }, "CoalescingMap: a wide channel is in no narrow one")
        return CoalescingMap(weights)
    }

    /// `d` channels that stay as they are.
    public static func identity(_ d: Int) -> CoalescingMap { stack(dims: d, members: 1) }

    /// What meets the columns of a weight whose inputs go through `map` `[new, old]`: `mapᵀ` with rows scaled to sum to 1, `[old, new]`. Where channels are
    /// averaged their columns are summed, where they are doubled their columns are halved.
    static func inputSide(of map: Tensor) -> Tensor {
        let transposed: Tensor = map.transposed()
        return (transposed / transposed.sum(axis: 1, keepDims: true)).contiguous()
    }
}

/// The maps of a transformer's widths.
public struct WidthMaps {
    /// The residual stream.
    public var embedding: CoalescingMap
    /// Queries and keys, which meet each other.
    public var queryKey: CoalescingMap
    public var value: CoalescingMap
    /// Inside the feed-forward.
    public var feedForward: CoalescingMap

    public init(embedding: CoalescingMap, queryKey: CoalescingMap, value: CoalescingMap, feedForward: CoalescingMap) {
        self.embedding = embedding
        self.queryKey = queryKey
        self.value = value
        self.feedForward = feedForward
    }
}

/// Which layers of a deep model make one of a shallow one.
public struct DepthMap: Sendable, Equatable {
    /// The deep layers of each shallow one; every deep layer in one of them.
    public let groups: [[Int]]

    /// Traps unless the groups hold every layer once.
    public init(groups: [[Int]]) {
        let layers: [Int] = groups.flatMap { $0 }.sorted()
        precondition(
            layers == Array(layers.indices) && groups.allSatisfy { !$0.isEmpty }, "DepthMap: \(groups) do not hold every layer once")
        self.groups = groups
    }

    public var large: Int { groups.reduce(0) { $0 + $1.count } }
    public var small: Int { groups.count }

    /// Neighbours: layers `k i … k i + k - 1`.
    public static func adjacent(layers: Int, members: Int = 2) -> DepthMap {
        precondition(layers % members == 0, "DepthMap: \(layers) layers do not make groups of \(members)")
        return DepthMap(groups: (0..<layers / members).map { group in (0..<members).map { group * members + $0 } })
    }

    /// Layers i, `i + L/k`, ….
    public static func stacked(layers: Int, members: Int = 2) -> DepthMap {
        precondition(layers % members == 0, "DepthMap: \(layers) layers do not make groups of \(members)")
        let small: Int = layers / members
        return DepthMap(groups: (0..<small).map { group in (0..<members).map { group + $0 * small } })
    }

    public static func identity(_ layers: Int) -> DepthMap { adjacent(layers: layers, members: 1) }
}
