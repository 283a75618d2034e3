/// The tokens that are found in the text itself before anything else happens to it (`added_tokens` in the file).
struct AddedTokens: Sendable {
    /// One added token with its options.
    struct Token: Sendable {
        let id: UInt32
        let content: [UInt8]
        let isSpecial: Bool
        /// Only where no word's scalar adjoins it.
        let isWholeWord: Bool
        /// Takes in the whitespace on its left, on its right.
        let stripsLeft: Bool
        let stripsRight: Bool
        /// Looked for after normalisation, in its normalised form.
        let isNormalized: Bool
        /// The form that is looked for.
        let pattern: [UInt8]
    }

    private(set) var tokens: [UInt32: Token] = [:]
    private(set) var ids: [[UInt8]: UInt32] = [:]
    private var plain = TokenTrie()
    private var normalized = TokenTrie()

    /// Reads the list. As in the reference implementation a token that the model knows keeps the model's id,
    /// and others are numbered on from the vocabulary's end in the list's order, whatever ids the file gives them.
    init(_ field: JSONField?, vocabulary: Vocabulary, normalizer: Normalizer?) throws {
        var nextID = UInt32(clamping: vocabulary.count)
        for element in try field?.elements() ?? [] {
            _ = try element.required("id").id()
            let content = try element.required("content").bytes()
            guard !content.isEmpty else { continue }
            let known = ids[content] ?? vocabulary.ids[content]
            let id = known ?? nextID
            if known == nil { nextID += 1 }
            let token = try Token(element, id: id, content: content, normalizer: normalizer)
            ids[content] = id
            tokens[id] = token
        }
        for (id, token) in tokens where !token.pattern.isEmpty {
            if token.isNormalized { normalized.insert(token.pattern, id: id) } else { plain.insert(token.pattern, id: id) }
        }
    }

    /// A part of the text: a token, or text in which there is none.
    enum Part {
        case token(UInt32)
        case text(TextPiece)
    }

    /// Cuts a text at the added tokens and normalises what lies between.
    func split(_ text: [UInt8], normalizer: Normalizer?) -> [Part] {
        let whole = TextPiece(text: text[...], beginsText: true)
        return split(whole, with: plain).flatMap { part -> [Part] in
            guard case .text(var piece) = part else { return [part] }
            if let normalizer { piece.text = normalizer.normalize(Array(piece.text))[...] }
            return split(piece, with: normalized)
        }
    }

    private func split(_ piece: TextPiece, with trie: TokenTrie) -> [Part] {
        guard !piece.text.isEmpty else { return [] }
        guard !trie.isEmpty else { return [.text(piece)] }
        let text = piece.text
        var parts: [Part] = []
        var end = text.startIndex
        func appendText(upTo stop: Int) {
            guard end < stop else { return }
            parts.append(.text(TextPiece(text: text[end..<stop], beginsText: piece.beginsText && end == text.startIndex)))
        }
        for match in trie.matches(in: text) {
            guard let token = tokens[match.id], let range = token.extent(of: match.range, in: text, notBefore: end) else { continue }
            appendText(upTo: range.lowerBound)
            parts.append(.token(match.id))
            end = range.upperBound
        }
        appendText(upTo: text.endIndex)
        return parts
    }
}

extension AddedTokens.Token {
    fileprivate init(_ field: JSONField, id: UInt32, content: [UInt8], normalizer: Normalizer?) throws {
        self.id = id
        self.content = content
        isSpecial = try field.required("special").bool()
        isWholeWord = try field.required("single_word").bool()
        stripsLeft = try field.required("lstrip").bool()
        stripsRight = try field.required("rstrip").bool()
        isNormalized = try field.required("normalized").bool()
        pattern = isNormalized ? normalizer?.normalize(content) ?? content : content
    }

    /// What the token takes of the text where it is found, or nil where it may not stand.
    fileprivate func extent(of range: Range<Int>, in text: ArraySlice<UInt8>, notBefore end: Int) -> Range<Int>? {
        if isWholeWord, endsInWord(text[..<range.lowerBound]) || beginsWithWord(text[range.upperBound...]) { return nil }
        var start = range.lowerBound
        var stop = range.upperBound
        if stripsLeft {
            let stripped = UTF8Scalars.scalars(of: text[..<start]).reversed().prefix { $0.properties.isWhitespace }
            start = max(end, start - stripped.reduce(0) { $0 + UTF8.width($1) })
        }
        if stripsRight {
            let stripped = UTF8Scalars.scalars(of: text[stop...]).prefix { $0.properties.isWhitespace }
            stop += stripped.reduce(0) { $0 + UTF8.width($1) }
        }
        return start..<stop
    }

    private func endsInWord(_ text: ArraySlice<UInt8>) -> Bool {
        // A scalar has at most four bytes; what precedes them may be cut apart.
        UTF8Scalars.scalars(of: text.suffix(4)).last.map { CharacterClass.of($0.value).contains(.word) } ?? false
    }

    private func beginsWithWord(_ text: ArraySlice<UInt8>) -> Bool {
        UTF8Scalars.scalars(of: text.prefix(4)).first.map { CharacterClass.of($0.value).contains(.word) } ?? false
    }
}

/// Finds the leftmost and there the longest of many byte strings.
struct TokenTrie: Sendable {
    private struct Edge: Hashable {
        let node: Int
        let byte: UInt8
    }

    private var edges: [Edge: Int] = [:]
    private var ends: [Int: UInt32] = [:]
    private var nodeCount = 1
    /// Which bytes begin a string; nearly all places of a text are passed over with this alone.
    private var begins = [Bool](repeating: false, count: 256)

    var isEmpty: Bool { ends.isEmpty }

    mutating func insert(_ bytes: [UInt8], id: UInt32) {
        var node = 0
        for byte in bytes {
            let edge = Edge(node: node, byte: byte)
            if let child = edges[edge] {
                node = child
            } else {
                edges[edge] = nodeCount
                node = nodeCount
                nodeCount += 1
            }
        }
        begins[Int(bytes[0])] = true
        ends[node] = min(id, ends[node] ?? id)
    }

    func matches(in text: ArraySlice<UInt8>) -> [(range: Range<Int>, id: UInt32)] {
        var found: [(range: Range<Int>, id: UInt32)] = []
        var index = text.startIndex
        while index < text.endIndex {
            if begins[Int(text[index])], let (end, id) = longest(in: text, from: index) {
                found.append((index..<end, id))
                index = end
            } else {
                index += 1
            }
        }
        return found
    }

    private func longest(in text: ArraySlice<UInt8>, from start: Int) -> (end: Int, id: UInt32)? {
        var node = 0
        var best: (end: Int, id: UInt32)?
        var index = start
        while index < text.endIndex, let child = edges[Edge(node: node, byte: text[index])] {
            node = child
            index += 1
            if let id = ends[node] { best = (index, id) }
        }
        return best
    }
}
