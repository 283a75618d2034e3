/// Cuts a text into the words that the model sees (`pre_tokenizer` in the file).
indirect enum PreTokenizer: Sendable {
    case byteLevel(addPrefixSpace: Bool, usesPattern: Bool)
    case split(TextPattern, SplitBehavior, inverted: Bool)
    case sequence([PreTokenizer])
    case digits(individual: Bool)
    case whitespace
    case whitespaceSplit
    case metaspace(Metaspace, splits: Bool)
    case punctuation(SplitBehavior)
    case delimiter(Unicode.Scalar)
    case bert

    init(_ field: JSONField) throws {
        let type = try field.type()
        switch type {
        case "ByteLevel":
            self = .byteLevel(
                addPrefixSpace: try field.required("add_prefix_space").bool(),
                usesPattern: try field.optional("use_regex")?.bool() ?? true)
        case "Split":
            let inverted = try field.required("invert").bool()
            let behavior = try SplitBehavior(field.required("behavior"))
            self = .split(try TextPattern(field.required("pattern")), behavior, inverted: inverted)
        case "Sequence": self = .sequence(try field.required("pretokenizers").elements().map(PreTokenizer.init))
        case "Digits": self = .digits(individual: try field.required("individual_digits").bool())
        case "Whitespace": self = .whitespace
        case "WhitespaceSplit": self = .whitespaceSplit
        case "Metaspace": self = .metaspace(try Metaspace(field), splits: try field.optional("split")?.bool() ?? true)
        case "Punctuation": self = .punctuation(try field.optional("behavior").map(SplitBehavior.init) ?? .isolated)
        case "CharDelimiterSplit": self = .delimiter(try field.required("delimiter").scalar())
        case "BertPreTokenizer": self = .bert
        default: throw field.unsupported("pre-tokenizer \(type)")
        }
    }

    /// Whether the last thing that happens is the mapping to the byte-level alphabet, so that a model may take the bytes themselves.
    var endsInByteAlphabet: Bool {
        switch self {
        case .byteLevel: true
        case .sequence(let steps): steps.last?.endsInByteAlphabet ?? false
        default: false
        }
    }

    /// The pieces cut further.
    ///
    /// - Parameter keepsBytes: leave out the mapping to the byte-level alphabet where it comes last.
    func split(_ pieces: [TextPiece], keepsBytes: Bool) -> [TextPiece] {
        switch self {
        case .byteLevel(let addPrefixSpace, let usesPattern):
            return pieces.flatMap { byteLevel($0, addPrefixSpace: addPrefixSpace, usesPattern: usesPattern, keepsBytes: keepsBytes) }
        case .split(let pattern, let behavior, let inverted):
            return pieces.flatMap { $0.split(at: pattern.matches(in: $0.text), behavior, inverted: inverted) }
        case .sequence(let steps):
            return steps.indices.reduce(pieces) { steps[$1].split($0, keepsBytes: keepsBytes && $1 == steps.count - 1) }
        case .digits(let individual):
            return pieces.flatMap { $0.split(at: .number, individual ? .isolated : .contiguous) }
        case .whitespace:
            return pieces.flatMap { $0.split(at: .whitespace, .removed) }.flatMap { $0.split(at: .word, .contiguous) }
        case .whitespaceSplit:
            return pieces.flatMap { $0.split(at: .whitespace, .removed) }
        case .metaspace(let metaspace, let splits):
            return pieces.flatMap { metaspace.apply(to: $0, splits: splits) }
        case .punctuation(let behavior):
            return pieces.flatMap { $0.split(at: .punctuation, behavior) }
        case .delimiter(let delimiter):
            return pieces.flatMap { piece in piece.split(at: piece.matches { $0 == delimiter.value }, .removed) }
        case .bert:
            return pieces.flatMap { $0.split(at: .whitespace, .removed) }.flatMap { $0.split(at: .punctuation, .isolated) }
        }
    }

    private func byteLevel(_ piece: TextPiece, addPrefixSpace: Bool, usesPattern: Bool, keepsBytes: Bool) -> [TextPiece] {
        var piece = piece
        if addPrefixSpace, piece.text.first != UInt8(ascii: " ") { piece.text = [UInt8(ascii: " ")] + piece.text }
        let words = usesPattern ? piece.split(at: PatternScanner.gpt2.matches(in: piece.text), .isolated) : [piece]
        guard !keepsBytes else { return words }
        return words.map { TextPiece(text: ByteAlphabet.encode($0.text)[...], beginsText: $0.beginsText) }
    }
}

/// Spaces written as a visible sign, as SentencePiece does.
struct Metaspace: Sendable {
    /// Where a sign is put before a text that does not begin with one.
    enum PrependScheme: String {
        case always, first, never
    }

    let replacement: [UInt8]
    let prependScheme: PrependScheme

    init(_ field: JSONField) throws {
        replacement = UTF8Scalars.bytes(of: try field.required("replacement").scalar())
        let declared = try field.optional("prepend_scheme")
        let name = try declared?.text() ?? PrependScheme.always.rawValue
        guard let scheme = PrependScheme(rawValue: name) else { throw field.unsupported("prepend_scheme \(name)") }
        guard try field.optional("add_prefix_space")?.bool() == false else {
            prependScheme = scheme
            return
        }
        if declared != nil, scheme != .never { throw field.invalid("add_prefix_space is false, prepend_scheme is \(name)") }
        prependScheme = .never
    }

    func apply(to piece: TextPiece, splits: Bool) -> [TextPiece] {
        var text = TextPattern.literal([UInt8(ascii: " ")]).replaceMatches(in: piece.text, by: replacement)
        let mayPrepend = prependScheme == .always || (prependScheme == .first && piece.beginsText)
        if mayPrepend, !text.starts(with: replacement) { text = replacement + text }
        let marked = TextPiece(text: text[...], beginsText: piece.beginsText)
        guard splits else { return [marked] }
        return marked.split(at: TextPattern.literal(replacement).matches(in: marked.text), .mergedWithNext)
    }
}
