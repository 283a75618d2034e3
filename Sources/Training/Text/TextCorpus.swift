import Foundation

/// What can be wrong with a corpus. Each description is one line.
public enum TextCorpusError: Error, Equatable, CustomStringConvertible {
    /// The file is not UTF-8; the offset is that of the first byte of the first ill-formed sequence.
    case notUTF8(file: String, offset: Int)
    /// There is no text at all.
    case empty(file: String)
    /// No file was named.
    case noFiles
    /// A part of the corpus has fewer tokens than one example needs.
    case shorterThanContext(part: String, tokens: Int, needed: Int)

    public var description: String {
        switch self {
        case .notUTF8(let file, let offset): "\(file): not UTF-8 at byte \(offset); convert the file to UTF-8"
        case .empty(let file): "\(file): the file is empty; a corpus needs text"
        case .noFiles: "no text file was given"
        case .shorterThanContext(let part, let tokens, let needed):
            "the \(part) part of the corpus has \(tokens) tokens, the context needs at least \(needed); give more text or a shorter context"
        }
    }
}

/// The text of one or more files, read strictly as UTF-8 and kept byte for byte (a byte order mark and CR LF included).
public struct TextCorpus: Sendable {
    /// The files' texts in the order given.
    public let texts: [String]

    /// Reads files.
    ///
    /// - Throws: `FileError` for a file that cannot be read, ``TextCorpusError`` for one that is empty or not UTF-8.
    public init(contentsOf files: [URL]) throws {
        guard !files.isEmpty else { throw TextCorpusError.noFiles }
        texts = try files.map(Self.read)
    }

    /// A corpus from memory.
    public init(texts: [String]) { self.texts = texts }

    private static func read(_ file: URL) throws -> String {
        let bytes = try contents(of: file)
        guard !bytes.isEmpty else { throw TextCorpusError.empty(file: file.path) }
        if let offset = UTF8Validation.firstInvalidOffset(in: bytes) { throw TextCorpusError.notUTF8(file: file.path, offset: offset) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All tokens, the files' one after the other, each file's followed by the tokenizer's end of text where there are several files
    /// and the tokenizer has such a token.
    ///
    /// - Throws: ``TokenizerError/unknownCharacter(_:offset:)`` where the vocabulary cannot express the text.
    public func tokens(with tokenizer: some Tokenizer) throws -> [Int] {
        guard texts.count > 1 else { return try texts.first.map(tokenizer.encode(validating:)) ?? [] }
        return try texts.flatMap { try tokenizer.encode(validating: $0) + (tokenizer.endOfTextID.map { [$0] } ?? []) }
    }

    /// The corpus as tokens, cut by position: the first part to train on, the rest to validate on.
    ///
    /// - Parameters:
    ///   - trainingFraction: the share of the tokens, rounded down, that is trained on, within 0...1.
    ///   - contextLength: how many tokens a model sees at once. Each part that is not empty by intent must hold one example, that is
    ///     one token more, since each position's target is the next token.
    /// - Throws: ``TextCorpusError/shorterThanContext(part:tokens:needed:)``, or what ``tokens(with:)`` throws.
    public func split(
        with tokenizer: some Tokenizer, contextLength: Int, trainingFraction: Double = 0.9
    ) throws -> (training: PackedTokens, validation: PackedTokens) {
        precondition((0...1).contains(trainingFraction), "the training fraction must lie within 0...1, not \(trainingFraction)")
        precondition(contextLength > 0, "the context must be at least one token long, not \(contextLength)")
        let tokens = try tokens(with: tokenizer)
        let boundary = Int(Double(tokens.count) * trainingFraction)
        if trainingFraction > 0 { try Self.check("training", tokens: boundary, contextLength) }
        if trainingFraction < 1 { try Self.check("validation", tokens: tokens.count - boundary, contextLength) }
        let size = tokenizer.vocabularySize
        return (
            PackedTokens(tokens[..<boundary], vocabularySize: size), PackedTokens(tokens[boundary...], vocabularySize: size)
        )
    }

    private static func check(_ part: String, tokens: Int, _ contextLength: Int) throws {
        guard tokens > contextLength else {
            throw TextCorpusError.shorterThanContext(part: part, tokens: tokens, needed: contextLength + 1)
        }
    }
}

/// Token ids in two bytes each where the vocabulary allows it, else in four.
public struct PackedTokens: Sendable, RandomAccessCollection, Equatable {
    /// How the ids are kept.
    public enum Storage: Sendable, Equatable {
        case uint16([UInt16])
        case int32([Int32])
    }

    /// The ids as they are kept.
    public let storage: Storage

    /// Packs ids, each of which must be less than the vocabulary's size.
    public init(_ ids: some Collection<Int>, vocabularySize: Int) {
        precondition(vocabularySize <= Int(Int32.max), "ids of a vocabulary of \(vocabularySize) do not fit 32 bits")
        storage = vocabularySize <= 1 << 16 ? .uint16(ids.map(UInt16.init)) : .int32(ids.map(Int32.init))
    }

    public var startIndex: Int { 0 }

    public var endIndex: Int {
        switch storage {
        case .uint16(let ids): ids.count
        case .int32(let ids): ids.count
        }
    }

    public subscript(position: Int) -> Int {
        switch storage {
        case .uint16(let ids): Int(ids[position])
        case .int32(let ids): Int(ids[position])
        }
    }
}
