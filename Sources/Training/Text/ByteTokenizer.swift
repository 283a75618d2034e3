import Foundation

/// Every byte of the text's UTF-8 is a token; its value is its id. No training, no unknown text, 256 ids.
///
/// As a `tokenizer.json` it is a byte-level BPE model without merges.
public struct ByteTokenizer: PipelineTokenizer {
    public let pipeline: TokenizerPipeline

    public init() {
        let vocabulary = ByteAlphabet.encodings.enumerated().map { JSONMember(key: $0.element, value: .integer($0.offset)) }
        let model = TokenizerDocument.bytePairModel(vocabulary: vocabulary, merges: [])
        let byteLevel = TokenizerDocument.byteLevel(usesPattern: false)
        let document = TokenizerDocument.make(model: model, preTokenizer: byteLevel, decoder: byteLevel)
        do { pipeline = try TokenizerPipeline(document: document) } catch {
            preconditionFailure("the byte tokenizer's own document: \(error)")
        }
    }

    /// The byte tokenizer, if that is what the pipeline is.
    init?(pipeline: TokenizerPipeline) {
        guard case .bytePair(let model) = pipeline.model, !model.hasMerges, pipeline.document == ByteTokenizer().pipeline.document else {
            return nil
        }
        self.pipeline = pipeline
    }

    public func encode(_ text: String) -> [Int] { text.utf8.map(Int.init) }
}
