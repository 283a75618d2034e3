import Foundation

/// A WordPiece tokenizer as BERT's family uses it, read from a `tokenizer.json`.
public struct WordPieceTokenizer: PipelineTokenizer {
    public let pipeline: TokenizerPipeline

    /// Reads a `tokenizer.json`, or the one in a directory.
    ///
    /// - Parameters:
    ///   - url: the file, or the directory that has it.
    ///   - wholeTexts: what the file says on cutting and padding is passed over, as the caller does both itself; otherwise such a file is
    ///     refused.
    /// - Throws: `FileError` where the file cannot be read, else ``TokenizerError/inFile(_:_:)`` naming the field.
    public init(contentsOf url: URL, wholeTexts: Bool = false) throws {
        pipeline = try TokenizerPipeline(contentsOf: url, wholeTexts: wholeTexts)
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

    /// The ids of a text in windows of at most `length` tokens, each with the tokens that stand around a text; a single window for a text
    /// without tokens. Traps where those leave no room.
    public func windows(of text: String, length: Int) -> [[Int]] { pipeline.windows(of: text, length: length) }
}
