/// The ids of the short words met so far. Words of up to 15 bytes, nearly all of a text, are kept as two integers without an array each.
struct WordCache: Sendable {
    /// A word's bytes and, in the highest byte, its length.
    struct Key: Hashable, Sendable {
        private var low: UInt64 = 0
        private var high: UInt64

        /// Nil for a word that is too long.
        @inline(__always)
        init?(_ word: UnsafeBufferPointer<UInt8>) {
            guard word.count <= 15 else { return nil }
            high = UInt64(word.count) << 56
            for index in 0..<word.count {
                if index < 8 {
                    low |= UInt64(word[index]) << UInt64(8 * index)
                } else {
                    high |= UInt64(word[index]) << UInt64(8 * (index - 8))
                }
            }
        }
    }

    /// Beyond this many words no more are taken in, so that odd input cannot fill the memory.
    private static let capacity = 65_536

    private var entries: [Key: Range<Int>] = [:]
    private var ids: [UInt32] = []

    /// Appends the ids of a word that has been met.
    @inline(__always)
    func append(_ key: Key, to output: inout [Int]) -> Bool {
        guard let range = entries[key] else { return false }
        for index in range { output.append(Int(ids[index])) }
        return true
    }

    mutating func insert(_ key: Key, _ word: [UInt32]) {
        guard entries.count < Self.capacity else { return }
        entries[key] = ids.count..<ids.count + word.count
        ids.append(contentsOf: word)
    }
}
