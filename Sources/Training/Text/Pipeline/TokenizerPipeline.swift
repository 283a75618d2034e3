import Foundation

/// All that a `tokenizer.json` describes: added tokens, normaliser, pre-tokenizer, model, post-processor and decoder.
///
/// The file is taken as hostile: whatever is in it, it is either read or refused by a ``TokenizerError`` that names the field.
public final class TokenizerPipeline: Sendable {
    /// The models that are read.
    enum Model: Sendable {
        case bytePair(BPEModel)
        case wordPiece(WordPieceModel)

        var vocabulary: Vocabulary {
            switch self {
            case .bytePair(let model): model.vocabulary
            case .wordPiece(let model): model.vocabulary
            }
        }
    }

    let document: JSONValue
    let addedTokens: AddedTokens
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let model: Model
    let decoder: TokenDecoder
    private let postProcessor: PostProcessor
    /// Whether words reach the model as bytes rather than in the byte-level alphabet, which comes to the same and is faster.
    private let keepsBytes: Bool

    /// One more than the greatest id.
    public let vocabularySize: Int
    /// By ascending id.
    public let specialTokens: [SpecialToken]

    /// Reads a `tokenizer.json`, or the one in a directory.
    ///
    /// - Parameters:
    ///   - url: the file, or the directory that has it.
    ///   - wholeTexts: what the file says on cutting and padding is passed over, as the caller does both itself; otherwise such a file is
    ///     refused.
    /// - Throws: `FileError` where the file cannot be read, else ``TokenizerError/inFile(_:_:)``.
    public convenience init(contentsOf url: URL, wholeTexts: Bool = false) throws {
        let file = tokenizerFile(at: url)
        let bytes = try contents(of: file)
        do {
            let document = try JSONParser.parse(bytes)
            try self.init(document: wholeTexts ? TokenizerDocument.withoutLengths(document) : document)
        } catch let error as TokenizerError {
            throw TokenizerError.inFile(file.path, error)
        }
    }

    /// Reads a `tokenizer.json` from memory.
    ///
    /// - Throws: ``TokenizerError``.
    public convenience init(json: Data) throws { try self.init(document: try JSONParser.parse(Array(json))) }

    init(document: JSONValue) throws {
        let root = JSONField(root: document)
        self.document = document
        if let version = try root.optional("version"), try version.text() != "1.0" {
            throw version.unsupported("version \(try version.text())")
        }
        for name in ["truncation", "padding"] {
            if let field = try root.optional(name) { throw field.unsupported("cutting or padding by the tokenizer") }
        }
        normalizer = try root.optional("normalizer").map(Normalizer.init)
        preTokenizer = try root.optional("pre_tokenizer").map(PreTokenizer.init)
        model = try Self.model(root.required("model"))
        postProcessor = try PostProcessor(root.optional("post_processor"))
        decoder = try TokenDecoder(root.optional("decoder"))
        addedTokens = try AddedTokens(root.optional("added_tokens"), vocabulary: model.vocabulary, normalizer: normalizer)
        if case .bytePair(let model) = model {
            keepsBytes = model.acceptsRawBytes && preTokenizer?.endsInByteAlphabet == true
        } else {
            keepsBytes = false
        }
        let greatest = max(model.vocabulary.tokens.keys.max() ?? 0, addedTokens.tokens.keys.max() ?? 0)
        vocabularySize = model.vocabulary.count + addedTokens.tokens.count > 0 ? Int(greatest) + 1 : 0
        specialTokens = addedTokens.tokens.values.filter(\.isSpecial).sorted { $0.id < $1.id }.map { token in
            SpecialToken(content: String(decoding: token.content, as: UTF8.self), id: Int(token.id))
        }
    }

    private static func model(_ field: JSONField) throws -> Model {
        let type = try field.optional("type")?.text() ?? (try field.optional("merges") != nil ? "BPE" : "of no type")
        switch type {
        case "BPE": return .bytePair(try BPEModel(field))
        case "WordPiece": return .wordPiece(try WordPieceModel(field))
        default: throw field.unsupported("model \(type)")
        }
    }

    /// The ids of a text, with those that the post-processor adds unless they are not wanted.
    public func encode(_ text: String, addingSpecialTokens: Bool = true) -> [Int] {
        let ids = modelIDs(of: text)
        return addingSpecialTokens ? postProcessor.process(ids) : ids
    }

    /// The ids of two texts as one sequence, and for each the segment that it belongs to (0 or 1 with BERT).
    public func encode(_ first: String, pairedWith second: String) -> (ids: [Int], typeIDs: [Int]) {
        postProcessor.process(modelIDs(of: first), modelIDs(of: second))
    }

    /// The ids of a text in windows of at most `length` tokens, each with those that the post-processor adds; a single window for a text without
    /// tokens. Traps where the added tokens leave no room.
    public func windows(of text: String, length: Int) -> [[Int]] {
        let room = length - postProcessor.process([]).count
        precondition(room > 0, "windows of \(length) tokens have no room for text")
        let ids = modelIDs(of: text)
        return stride(from: 0, to: max(ids.count, 1), by: room).map { start in
            postProcessor.process(Array(ids[start..<min(start + room, ids.count)]))
        }
    }

    private func modelIDs(of text: String) -> [Int] {
        let bytes = Array(text.utf8)
        var ids: [Int] = []
        ids.reserveCapacity(bytes.count / 3)
        var pieces: [TextPiece] = []
        for part in addedTokens.split(bytes, normalizer: normalizer) {
            switch part {
            case .text(let piece):
                pieces.append(piece)
            case .token(let id):
                encode(&pieces, into: &ids)
                ids.append(Int(id))
            }
        }
        encode(&pieces, into: &ids)
        return ids
    }

    private func encode(_ pieces: inout [TextPiece], into ids: inout [Int]) {
        guard !pieces.isEmpty else { return }
        let words = preTokenizer?.split(pieces, keepsBytes: keepsBytes) ?? pieces
        pieces = []
        switch model {
        case .bytePair(let model): model.encode(words, rawBytes: keepsBytes, into: &ids)
        case .wordPiece(let model): model.encode(words, into: &ids)
        }
    }

    /// The bytes that an id contributes to decoding, or nil where it is left out.
    func tokenForDecoding(_ id: Int, skippingSpecialTokens: Bool) -> [UInt8]? {
        guard let id = UInt32(exactly: id) else { return nil }
        guard let added = addedTokens.tokens[id] else { return model.vocabulary.tokens[id] }
        return skippingSpecialTokens && added.isSpecial ? nil : added.pattern
    }

    /// The token of an id as it stands in the vocabulary.
    func token(forID id: Int) -> String? {
        guard let id = UInt32(exactly: id) else { return nil }
        let token = addedTokens.tokens[id]?.content ?? model.vocabulary.tokens[id]
        return token.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of a token as it stands in the vocabulary.
    func id(forToken token: String) -> Int? {
        let bytes = Array(token.utf8)
        return (addedTokens.ids[bytes] ?? model.vocabulary.ids[bytes]).map(Int.init)
    }
}
