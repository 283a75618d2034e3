import Foundation

/// Every Unicode scalar of the text is a token; the vocabulary is the scalars of a corpus in ascending order.
///
/// As a `tokenizer.json` it is a BPE model without merges and without pre-tokenizer.
public struct CharacterTokenizer: PipelineTokenizer {
    public let pipeline: TokenizerPipeline
    /// The id for scalars outside the vocabulary, where there is one.
    public let unknownID: Int?

    /// Takes the vocabulary from a corpus.
    ///
    /// - Parameters:
    ///   - corpus: the text whose scalars get ids, from 0 in ascending order of scalar.
    ///   - unknownToken: a token of several scalars for all others, which gets the last id. Without it ``encode(validating:)``
    ///     throws for such text and ``encode(_:)`` leaves it out.
    public init(corpus: String, unknownToken: String? = nil) {
        precondition((unknownToken?.unicodeScalars.count ?? 2) > 1, "the unknown token must be longer than one character")
        var tokens = Set(corpus.unicodeScalars).sorted().map(UTF8Scalars.bytes(of:))
        if let unknownToken { tokens.append(Array(unknownToken.utf8)) }
        do {
            pipeline = try TokenizerPipeline(document: Self.document(tokens: tokens, unknownToken: unknownToken))
            unknownID = unknownToken == nil ? nil : tokens.count - 1
        } catch {
            preconditionFailure("the character tokenizer's own document: \(error)")
        }
    }

    /// The character tokenizer that the pipeline is, if it is one.
    init?(pipeline: TokenizerPipeline) {
        guard case .bytePair(let model) = pipeline.model, !model.hasMerges else { return nil }
        let vocabulary = model.vocabulary
        let tokens = (0..<UInt32(vocabulary.count)).compactMap { vocabulary.tokens[$0] }
        let unknownToken = model.unknownID.flatMap { vocabulary.tokens[$0] }
        let unknownText = unknownToken.map { String(decoding: $0, as: UTF8.self) }
        guard pipeline.document == Self.document(tokens: tokens, unknownToken: unknownText),
            tokens.allSatisfy({ UTF8Scalars.scalars(of: $0).count == 1 || $0 == unknownToken })
        else { return nil }
        self.pipeline = pipeline
        unknownID = model.unknownID.map(Int.init)
    }

    /// - Parameters:
    ///   - tokens: the tokens by id.
    ///   - unknownToken: if there is one, the last of them.
    private static func document(tokens: [[UInt8]], unknownToken: String?) -> JSONValue {
        let vocabulary = tokens.enumerated().map { JSONMember(key: $0.element, value: .integer($0.offset)) }
        let added = unknownToken.map { [TokenizerDocument.specialToken(Array($0.utf8), id: tokens.count - 1)] } ?? []
        return TokenizerDocument.make(
            model: TokenizerDocument.bytePairModel(vocabulary: vocabulary, merges: [], unknownToken: unknownToken),
            addedTokens: added, decoder: .object(["type": .string("Fuse")]))
    }

    public func encode(validating text: String) throws -> [Int] {
        guard unknownID == nil else { return encode(text) }
        var offset = 0
        for scalar in text.unicodeScalars {
            guard pipeline.model.vocabulary.ids[UTF8Scalars.bytes(of: scalar)] != nil else {
                throw TokenizerError.unknownCharacter(scalar, offset: offset)
            }
            offset += UTF8.width(scalar)
        }
        return encode(text)
    }
}
