import Synchronization

/// Byte pair encoding (Sennrich et al. 2016, arXiv:1508.07909): a word's symbols are merged pairwise, in the order the merges were learnt.
final class BPEModel: Sendable {
    let vocabulary: Vocabulary
    /// Whether there are merges at all; without, each character is a token.
    let hasMerges: Bool
    let unknownID: UInt32?
    private let merges: MergeTable
    private let fusesUnknown: Bool
    private let fallsBackOnBytes: Bool
    private let takesWholeWords: Bool
    private let continuingPrefix: [UInt8]?
    private let endSuffix: [UInt8]?
    /// The id of each byte in the byte-level alphabet, where the vocabulary has it.
    private let byteIDs: [UInt32?]
    /// The tokens of a byte-level vocabulary as the bytes that they stand for, kept where whole words are looked up.
    private let rawTokens: [[UInt8]: UInt32]
    /// Handed from one call to the next; a call that finds it taken starts its own.
    private let cache = Mutex(WordCache())

    init(_ field: JSONField) throws {
        vocabulary = try Vocabulary(field.required("vocab"))
        if let dropout = try field.optional("dropout"), try dropout.double() != 0 {
            throw dropout.unsupported("dropout other than 0, which makes encoding random,")
        }
        unknownID = try field.optional("unk_token").map(vocabulary.id(of:))
        fusesUnknown = try field.optional("fuse_unk")?.bool() ?? false
        fallsBackOnBytes = try field.optional("byte_fallback")?.bool() ?? false
        takesWholeWords = try field.optional("ignore_merges")?.bool() ?? false
        continuingPrefix = try field.optional("continuing_subword_prefix")?.bytes()
        endSuffix = try field.optional("end_of_word_suffix")?.bytes()
        let list = try field.required("merges")
        merges = try Self.readMerges(list, vocabulary, prefix: continuingPrefix ?? [])
        hasMerges = list.value != .array([])
        byteIDs = ByteAlphabet.encodings.map { [vocabulary] in vocabulary.ids[$0] }
        rawTokens = takesWholeWords ? Self.rawTokens(of: vocabulary) : [:]
    }

    /// Whether words can come as plain bytes instead of in the byte-level alphabet. A byte without token must then simply be left out.
    var acceptsRawBytes: Bool { unknownID == nil && !fallsBackOnBytes && continuingPrefix == nil && endSuffix == nil }

    /// Whether every byte has a token.
    var hasAllBytes: Bool { byteIDs.allSatisfy { $0 != nil } }

    private static func rawTokens(of vocabulary: Vocabulary) -> [[UInt8]: UInt32] {
        var raw: [[UInt8]: UInt32] = [:]
        for (token, id) in vocabulary.ids { if let bytes = ByteAlphabet.decode(token) { raw[bytes] = id } }
        return raw
    }

    private static func readMerges(_ field: JSONField, _ vocabulary: Vocabulary, prefix: [UInt8]) throws -> MergeTable {
        guard case .array(let merges) = field.value else { throw TokenizerError.wrongType(field: field.path, expected: "an array") }
        var table = MergeTable(capacity: merges.count)
        var rank: UInt32 = 0
        for (index, merge) in merges.enumerated() {
            if case .string(let line) = merge, line.starts(with: "#version".utf8) { continue }
            guard let (left, right) = pair(merge) else {
                throw TokenizerError.invalidValue(field: "\(field.path)[\(index)]", reason: "a merge is two tokens")
            }
            let rest = right.starts(with: prefix) ? right.dropFirst(prefix.count) : right[...]
            guard let leftID = vocabulary.ids[left], let rightID = vocabulary.ids[right], let merged = vocabulary.ids[left + rest] else {
                throw TokenizerError.invalidValue(
                    field: "\(field.path)[\(index)]", reason: "both tokens and what they make must be in the vocabulary")
            }
            table.insert(left: leftID, right: rightID, rank: rank, merged: merged)
            rank += 1
        }
        return table
    }

    /// The two tokens of a merge, written `"a b"` or `["a", "b"]`.
    private static func pair(_ merge: JSONValue) -> (left: [UInt8], right: [UInt8])? {
        switch merge {
        case .string(let line):
            let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            return parts.count == 2 ? (Array(parts[0]), Array(parts[1])) : nil
        case .array(let parts):
            guard parts.count == 2, case .string(let left) = parts[0], case .string(let right) = parts[1] else { return nil }
            return (left, right)
        default:
            return nil
        }
    }

    /// Appends the ids of each word.
    ///
    /// - Parameter rawBytes: the words are plain bytes rather than text in the vocabulary's own alphabet.
    func encode(_ words: [TextPiece], rawBytes: Bool, into output: inout [Int]) {
        var cache = takeCache()
        for word in words {
            word.text.withUnsafeBufferPointer { buffer in
                let key = WordCache.Key(buffer)
                if let key, cache.append(key, to: &output) { return }
                let ids = rawBytes ? encodeRaw(buffer) : encodeText(buffer)
                if let key { cache.insert(key, ids) }
                for id in ids { output.append(Int(id)) }
            }
        }
        let filled = cache
        self.cache.withLock { $0 = filled }
    }

    private func takeCache() -> WordCache {
        cache.withLock { stored in
            let taken = stored
            stored = WordCache()
            return taken
        }
    }

    private func encodeRaw(_ word: UnsafeBufferPointer<UInt8>) -> [UInt32] {
        if takesWholeWords, let id = rawTokens[Array(word)] { return [id] }
        var symbols: [UInt32] = []
        symbols.reserveCapacity(word.count)
        for byte in word { if let id = byteIDs[Int(byte)] { symbols.append(id) } }
        if hasMerges { WordMerger.merge(&symbols, with: merges) }
        return symbols
    }

    private func encodeText(_ word: UnsafeBufferPointer<UInt8>) -> [UInt32] {
        if takesWholeWords, let id = vocabulary.ids[Array(word)] { return [id] }
        var symbols = initialSymbols(word)
        if hasMerges { WordMerger.merge(&symbols, with: merges) }
        return symbols
    }

    /// A symbol for each scalar. An unknown one becomes its bytes, or the unknown token, or nothing, in that order.
    private func initialSymbols(_ word: UnsafeBufferPointer<UInt8>) -> [UInt32] {
        var symbols: [UInt32] = []
        var pendingUnknown: UInt32?
        var index = 0
        while index < word.count {
            let next = UTF8Scalars.scalar(in: word, at: index).next
            var symbol = Array(word[index..<next])
            if index > 0, let continuingPrefix { symbol = continuingPrefix + symbol }
            if next == word.count, let endSuffix { symbol += endSuffix }
            index = next
            if let id = vocabulary.ids[symbol] {
                if let unknown = pendingUnknown { symbols.append(unknown) }
                pendingUnknown = nil
                symbols.append(id)
            } else if fallsBackOnBytes, let bytes = byteTokens(symbol) {
                // The reference implementation lets a pending unknown token wait until after the bytes.
                symbols.append(contentsOf: bytes)
            } else if let unknownID {
                if let unknown = pendingUnknown, !fusesUnknown { symbols.append(unknown) }
                pendingUnknown = unknownID
            }
        }
        if let unknown = pendingUnknown { symbols.append(unknown) }
        return symbols
    }

    /// The tokens `<0x00>`...`<0xFF>` of some bytes, if the vocabulary has them all.
    private func byteTokens(_ bytes: [UInt8]) -> [UInt32]? {
        let ids = bytes.compactMap { vocabulary.ids[Self.byteTokenNames[Int($0)]] }
        return ids.count == bytes.count ? ids : nil
    }

    private static let byteTokenNames: [[UInt8]] = (0..<256).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)
    }
}
