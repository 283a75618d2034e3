import Foundation

/// A tokenizer that does what a ``TokenizerPipeline`` describes.
public protocol PipelineTokenizer: Tokenizer {
    /// What the tokenizer's file describes.
    var pipeline: TokenizerPipeline { get }
}

/// Names that vocabularies in use give to the token at a text's end.
private let endOfTextNames: Set<String> = ["<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "</s>", "<eos>", "<end>"]

extension PipelineTokenizer {
    public var vocabularySize: Int { pipeline.vocabularySize }

    public var specialTokens: [SpecialToken] { pipeline.specialTokens }

    public var endOfTextID: Int? { specialTokens.first { endOfTextNames.contains($0.content) }?.id }

    public func encode(_ text: String) -> [Int] { pipeline.encode(text) }

    public func encode(validating text: String) throws -> [Int] { encode(text) }

    public func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
        var decoder = StreamingDecoder(pipeline, skippingSpecialTokens: skippingSpecialTokens)
        return decoder.decode(ids)
    }

    public func streamingDecoder(skippingSpecialTokens: Bool) -> StreamingDecoder {
        StreamingDecoder(pipeline, skippingSpecialTokens: skippingSpecialTokens)
    }

    public func token(forID id: Int) -> String? { pipeline.token(forID: id) }

    public func id(forToken token: String) -> Int? { pipeline.id(forToken: token) }

    public func jsonData() -> Data { Data(JSONWriter.write(pipeline.document)) }
}

/// Reads any tokenizer that Linnet knows from a `tokenizer.json` or the directory that holds one.
///
/// - Returns: a ``ByteTokenizer``, ``CharacterTokenizer``, ``BPETokenizer`` or ``WordPieceTokenizer``, as the file describes.
/// - Throws: `FileError` where the file cannot be read, else ``TokenizerError/inFile(_:_:)`` naming the file and the field.
public func loadTokenizer(from url: URL) throws -> any Tokenizer {
    let pipeline = try TokenizerPipeline(contentsOf: url)
    if let bytes = ByteTokenizer(pipeline: pipeline) { return bytes }
    if let characters = CharacterTokenizer(pipeline: pipeline) { return characters }
    if let bytePairs = BPETokenizer(pipeline: pipeline) { return bytePairs }
    return WordPieceTokenizer(pipeline: pipeline)!
}
