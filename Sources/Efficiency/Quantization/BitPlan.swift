import Torch

/// How many bits each block of a model gets.
public struct BitPlan: Codable, Sendable, Equatable {
    /// One number for each block, first to last.
    public let bits: [Int]

    public init(bits: [Int]) { self.bits = bits }

    /// The same bits for all blocks.
    public init(uniform bits: Int, blocks: Int) { self.bits = Array(repeating: bits, count: blocks) }

    /// The `count` least important blocks get the low number of bits, the others the high one.
    /// - Parameters:
    ///   - ordering: all blocks from the least to the most important.
    ///   - high: bits of the others.
    ///   - low: bits of the least important.
    ///   - count: how many get the low number.
    public init(ordering: [Int], high: Int, low: Int, count: Int) {
        self.init(ordering: ordering, levels: [(low, count)], rest: high)
    }

    /// Contiguous bands of the ordering: the least important blocks get the first level, those after them the second, and so on.
    /// - Parameters:
    ///   - ordering: all blocks from the least to the most important.
    ///   - levels: bits, and how many blocks get them.
    ///   - rest: bits of the blocks after the last band.
    public init(ordering: [Int], levels: [(bits: Int, count: Int)], rest: Int) {
        precondition(ordering.sorted() == Array(ordering.indices), "BitPlan: \(ordering) is no ordering of all blocks")
        let lower: Int = levels.reduce(0) { $0 + $1.count }
        precondition(
            levels.allSatisfy { $0.count >= 0 } && lower <= ordering.count,
            "BitPlan: bands of \(lower) blocks, the model has \(ordering.count)")
        let banded: [Int] = levels.flatMap { Array(repeating: $0.bits, count: $0.count) }
        var bits: [Int] = Array(repeating: rest, count: ordering.count)
        for (block, level) in zip(ordering, banded) { bits[block] = level }
        self.bits = bits
    }

    /// The mean over blocks: `(n low + (L − n) high) / L`.
    public var averageBits: Double { Double(bits.reduce(0, +)) / Double(max(bits.count, 1)) }

    /// The plan with the most bits whose average is at most `averageBits`.
    /// - Throws: `ConfigurationError` unless the average lies between the two numbers of bits.
    public static func fit(averageBits: Double, ordering: [Int], high: Int, low: Int) throws -> BitPlan {
        guard low < high, averageBits >= Double(low), averageBits <= Double(high) else {
            throw ConfigurationError(
                "an average of \(averageBits) bits has to lie between the low number, \(low), and the high one, \(high)")
        }
        let share: Double = (Double(high) - averageBits) / Double(high - low)
        // A count that is whole up to rounding is not pushed to the next.
        let count: Int = Int((share * Double(ordering.count) - 1e-9).rounded(.up))
        return BitPlan(ordering: ordering, high: high, low: low, count: count)
    }

    /// The plan with the most bits whose blocks fit into a number of bytes.
    /// - Parameters:
    ///   - bytes: most bytes of all blocks.
    ///   - ordering: all blocks from the least to the most important.
    ///   - high: bits of most blocks.
    ///   - low: bits of the least important ones.
    ///   - size: bytes of a block at a number of bits.
    /// - Throws: `ConfigurationError` where even the low number for all blocks needs more.
    public static func fit(
        bytes: Int, ordering: [Int], high: Int, low: Int, size: (_ block: Int, _ bits: Int) -> Int
    ) throws -> BitPlan {
        for count in 0...ordering.count {
            let plan: BitPlan = BitPlan(ordering: ordering, high: high, low: low, count: count)
            if plan.bits.enumerated().reduce(0, { $0 + size($1.offset, $1.element) }) <= bytes { return plan }
        }
        throw ConfigurationError("\(bytes) bytes are too few for all blocks at \(low) bits")
    }
}
