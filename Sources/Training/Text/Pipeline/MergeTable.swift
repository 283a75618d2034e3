/// The merges of a BPE model: a hash table from a pair of ids to the merge's rank and the id that it makes.
///
/// Open addressing over flat arrays: the lookup is the innermost step of encoding.
struct MergeTable: Sendable {
    /// No pair has this key, for no id is `UInt32.max`.
    private static let vacant = UInt64.max

    private var keys: [UInt64]
    private var values: [UInt64]
    private let shift: UInt64

    init(capacity: Int) {
        var bits: UInt64 = 4
        while (1 << bits) < capacity * 2 { bits += 1 }
        keys = [UInt64](repeating: Self.vacant, count: 1 << bits)
        values = [UInt64](repeating: 0, count: 1 << bits)
        shift = 64 - bits
    }

    @inline(__always)
    private func slot(_ key: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
        while keys[slot] != key && keys[slot] != Self.vacant { slot = (slot &+ 1) & (keys.count &- 1) }
        return slot
    }

    @inline(__always)
    private static func key(_ left: UInt32, _ right: UInt32) -> UInt64 { UInt64(left) << 32 | UInt64(right) }

    /// Sets the merge of a pair; a later one replaces an earlier one.
    mutating func insert(left: UInt32, right: UInt32, rank: UInt32, merged: UInt32) {
        let key = Self.key(left, right)
        let slot = slot(key)
        keys[slot] = key
        values[slot] = UInt64(rank) << 32 | UInt64(merged)
    }

    /// The merge of a pair, lower ranks first.
    @inline(__always)
    func merge(_ left: UInt32, _ right: UInt32) -> (rank: UInt32, merged: UInt32)? {
        let slot = slot(Self.key(left, right))
        guard keys[slot] != Self.vacant else { return nil }
        return (UInt32(truncatingIfNeeded: values[slot] >> 32), UInt32(truncatingIfNeeded: values[slot]))
    }
}
