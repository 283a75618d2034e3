/// How tokens become text (`decoder` in the file): steps, each of which rewrites the list of tokens.
struct TokenDecoder: Sendable {
    /// One step. Those that need all tokens at once say so by what ``DecodingRun`` makes of them.
    enum Step: Sendable {
        /// Text in the byte-level alphabet to bytes to UTF-8; one token comes out.
        case byteLevel
        /// Runs of tokens such as `<0x0A>` to the text they spell, or U+FFFD for each where that is no UTF-8.
        case byteFallback
        /// All tokens become one.
        case fuse
        case replace(TextPattern, by: [UInt8])
        case strip(Unicode.Scalar, start: Int, stop: Int)
        case metaspace(Metaspace)
        case wordPiece(prefix: [UInt8], cleansUp: Bool)
        case wordEnd(suffix: [UInt8])
        /// Without a decoder tokens are joined by spaces.
        case joinWithSpaces
    }

    let steps: [Step]

    init(_ field: JSONField?) throws { steps = try field.map(Self.steps(_:)) ?? [.joinWithSpaces] }

    private static func steps(_ field: JSONField) throws -> [Step] {
        let type = try field.type()
        switch type {
        case "Sequence": return try field.required("decoders").elements().flatMap(steps(_:))
        case "ByteLevel": return [.byteLevel]
        case "ByteFallback": return [.byteFallback]
        case "Fuse": return [.fuse]
        case "Replace":
            return [.replace(try TextPattern(field.required("pattern")), by: try field.required("content").bytes())]
        case "Strip":
            let start = try field.required("start").count()
            return [.strip(try field.required("content").scalar(), start: start, stop: try field.required("stop").count())]
        case "Metaspace": return [.metaspace(try Metaspace(field))]
        case "WordPiece":
            return [.wordPiece(prefix: try field.required("prefix").bytes(), cleansUp: try field.required("cleanup").bool())]
        case "BPEDecoder":
            let suffix = try field.required("suffix")
            guard try !suffix.bytes().isEmpty else { throw suffix.invalid("an empty suffix") }
            return [.wordEnd(suffix: try suffix.bytes())]
        default: throw field.unsupported("decoder \(type)")
        }
    }
}

/// One text on its way through a decoder's steps, token by token.
///
/// Decoding a whole text is feeding it token by token, so that streaming cannot come to another result. What a later token may still
/// change is held back.
struct DecodingRun: Sendable {
    private var stages: [DecodingStage] = []

    init(_ decoder: TokenDecoder) {
        var isInParts = false
        for step in decoder.steps {
            switch step {
            case .fuse:
                isInParts = true
            case .byteLevel:
                if isInParts { stages.append(.collect()) }
                stages.append(DecodingStage(step))
                isInParts = true
            case .strip(_, _, stop: 0) where isInParts:
                stages.append(DecodingStage(step, isOneToken: true))
            default:
                if isInParts { stages.append(.collect()) }
                stages.append(DecodingStage(step))
                isInParts = false
            }
        }
    }

    /// Takes a token in; what comes out is complete UTF-8.
    mutating func feed(_ token: [UInt8]) -> [UInt8] { pass([token], from: 0) }

    /// What was held back.
    mutating func finish() -> [UInt8] {
        var output: [UInt8] = []
        for index in stages.indices { output += pass(stages[index].finish(), from: index + 1) }
        return output
    }

    private mutating func pass(_ tokens: [[UInt8]], from start: Int) -> [UInt8] {
        var tokens = tokens
        for index in start..<stages.count { tokens = tokens.flatMap { stages[index].feed($0) } }
        return Array(tokens.joined())
    }
}

/// A step with what it has to remember between tokens.
private struct DecodingStage: Sendable {
    private enum Work: Sendable {
        case step(TokenDecoder.Step)
        /// Holds everything until the end, where a step needs the one token that earlier steps have made in parts.
        case collect
    }

    private let work: Work
    /// Whether what comes in are parts of one token.
    private let isOneToken: Bool
    private var isFirst = true
    private var held: [UInt8] = []
    private var heldToken: [UInt8]?
    private var stripped = 0

    init(_ step: TokenDecoder.Step, isOneToken: Bool = false) {
        work = .step(step)
        self.isOneToken = isOneToken
    }

    private init(work: Work) {
        self.work = work
        isOneToken = true
    }

    static func collect() -> DecodingStage { DecodingStage(work: .collect) }

    mutating func feed(_ token: [UInt8]) -> [[UInt8]] {
        defer { isFirst = false }
        guard case .step(let step) = work else {
            held += token
            return []
        }
        switch step {
        case .byteLevel: return byteLevel(token)
        case .byteFallback: return byteFallback(token)
        case .fuse: return [token]
        case .replace(let pattern, let content): return [pattern.replaceMatches(in: token[...], by: content)]
        case .strip(let scalar, let start, let stop):
            return [isOneToken ? stripStart(token, scalar, atMost: start) : Self.strip(token, scalar, start: start, stop: stop)]
        case .metaspace(let metaspace): return [withSpaces(token, metaspace)]
        case .wordPiece(let prefix, let cleansUp): return [wordPiece(token, prefix: prefix, cleansUp: cleansUp)]
        case .wordEnd(let suffix):
            defer { heldToken = token }
            return heldToken.map { [TextPattern.literal(suffix).replaceMatches(in: $0[...], by: [0x20])] } ?? []
        case .joinWithSpaces: return [isFirst ? token : [0x20] + token]
        }
    }

    mutating func finish() -> [[UInt8]] {
        guard case .step(let step) = work else { return isFirst ? [] : [held] }
        switch step {
        case .byteLevel: return held.isEmpty ? [] : [UTF8Validation.replacement]
        case .byteFallback: return heldBytes()
        case .wordEnd(let suffix): return heldToken.map { [TextPattern.literal(suffix).replaceMatches(in: $0[...], by: [])] } ?? []
        default: return []
        }
    }

    private mutating func byteLevel(_ token: [UInt8]) -> [[UInt8]] {
        held += ByteAlphabet.decode(token) ?? token
        var output: [UInt8] = []
        UTF8Validation.drain(&held, into: &output)
        return output.isEmpty ? [] : [output]
    }

    private mutating func byteFallback(_ token: [UInt8]) -> [[UInt8]] {
        if let byte = Self.byte(of: token) {
            held.append(byte)
            return []
        }
        let earlier = heldBytes()
        held = []
        return earlier + [token]
    }

    private func heldBytes() -> [[UInt8]] {
        if held.isEmpty { return [] }
        if UTF8Validation.firstInvalidOffset(in: held) == nil { return [held] }
        return Array(repeating: UTF8Validation.replacement, count: held.count)
    }

    /// The byte of a token `<0x0A>`.
    private static func byte(of token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }

    private static func strip(_ token: [UInt8], _ scalar: Unicode.Scalar, start: Int, stop: Int) -> [UInt8] {
        let scalars = Array(UTF8Scalars.scalars(of: token))
        let leading = scalars.prefix(start).prefix { $0 == scalar }.count
        let trailing = scalars.suffix(stop).reversed().prefix { $0 == scalar }.count
        return UTF8Scalars.bytes(of: scalars.dropFirst(leading).dropLast(trailing))
    }

    private mutating func stripStart(_ part: [UInt8], _ scalar: Unicode.Scalar, atMost limit: Int) -> [UInt8] {
        guard stripped < limit, !part.isEmpty else { return part }
        let rest = UTF8Scalars.scalars(of: part)
        let count = rest.prefix(limit - stripped).prefix { $0 == scalar }.count
        stripped = count == rest.count ? stripped + count : limit
        return UTF8Scalars.bytes(of: rest.dropFirst(count))
    }

    private func withSpaces(_ token: [UInt8], _ metaspace: Metaspace) -> [UInt8] {
        let space: [UInt8] = isFirst && metaspace.prependScheme != .never ? [] : [0x20]
        return TextPattern.literal(metaspace.replacement).replaceMatches(in: token[...], by: space)
    }

    private func wordPiece(_ token: [UInt8], prefix: [UInt8], cleansUp: Bool) -> [UInt8] {
        var text = token
        if !isFirst { text = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token }
        guard cleansUp else { return text }
        for (dirty, clean) in Self.cleanUps { text = TextPattern.literal(dirty).replaceMatches(in: text[...], by: clean) }
        return text
    }

    /// What BERT's clean-up replaces, in this order.
    private static let cleanUps: [(dirty: [UInt8], clean: [UInt8])] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }
}
