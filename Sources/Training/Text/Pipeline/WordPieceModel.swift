/// WordPiece: the longest token that begins a word, then the longest that continues it, and so on (BERT, arXiv:1810.04805).
struct WordPieceModel: Sendable {
    let vocabulary: Vocabulary
    let unknownID: UInt32
    private let continuingPrefix: [UInt8]
    private let longestWord: Int
    /// Longer candidates need not be looked up.
    private let longestToken: Int

    init(_ field: JSONField) throws {
        vocabulary = try Vocabulary(field.required("vocab"))
        unknownID = try vocabulary.id(of: field.required("unk_token"))
        continuingPrefix = try field.required("continuing_subword_prefix").bytes()
        longestWord = try field.required("max_input_chars_per_word").count()
        longestToken = vocabulary.ids.keys.map(\.count).max() ?? 0
    }

    func encode(_ words: [TextPiece], into output: inout [Int]) {
        for word in words { output.append(contentsOf: encode(word.text) ?? [Int(unknownID)]) }
    }

    /// The ids of a word, or nil where it is too long or cannot be put together.
    private func encode(_ word: ArraySlice<UInt8>) -> [Int]? {
        guard word.lazy.filter({ $0 & 0xC0 != 0x80 }).count <= longestWord else { return nil }
        var ids: [Int] = []
        var start = word.startIndex
        while start < word.endIndex {
            let prefix = start > word.startIndex ? continuingPrefix : []
            guard let (id, end) = longestMatch(in: word, from: start, prefix: prefix) else { return nil }
            ids.append(Int(id))
            start = end
        }
        return ids
    }

    private func longestMatch(in word: ArraySlice<UInt8>, from start: Int, prefix: [UInt8]) -> (id: UInt32, end: Int)? {
        var end = min(word.endIndex, start + max(0, longestToken - prefix.count))
        while end > start {
            let isBoundary = end == word.endIndex || word[end] & 0xC0 != 0x80
            if isBoundary, let id = vocabulary.ids[prefix + word[start..<end]] { return (id, end) }
            end -= 1
        }
        return nil
    }
}
