import Foundation

/// A WordPiece tokenizer as BERT's family uses it, read from a `tokenizer.json`.
public struct WordPieceTokenizer: PipelineTokenizer {
    public let pipeline: TokenizerPipeline

    /// Reads a `tokenizer.json`, or the one in a directory.
    ///
    /// - Throws: `FileError` where the file cannot be read, else ``TokenizerError/inFile(_:_:)`` naming the field.
    public init(contentsOf url: URL) throws {
        pipeline = try TokenizerPipeline(contentsOf: url)
        guard case .wordPiece = pipeline.model else {
            throw TokenizerError.inFile(tokenizerFile(at: url).path, .invalidValue(field: "model.type", reason: "expected WordPiece"))
        }
    }

    init?(pipeline: TokenizerPipeline) {
        guard case .wordPiece = pipeline.model else { return nil }
        self.pipeline = pipeline
    }

    /// The ids of two texts as one sequence with the separators between, and for each the segment that it belongs to.
    public func encode(_ first: String, pairedWith second: String) -> (ids: [Int], typeIDs: [Int]) {
        pipeline.encode(first, pairedWith: second)
    }
}
