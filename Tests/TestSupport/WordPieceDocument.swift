import Foundation

/// A `tokenizer.json` as BERT's sentence encoders have it, with cutting and padding.
public enum WordPieceDocument {
    /// - Parameter vocabulary: tokens by id; it begins with `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`.
    public static func make(_ vocabulary: [String]) throws -> Data {
        let ids: [String: Int] = Dictionary(uniqueKeysWithValues: vocabulary.enumerated().map { ($0.element, $0.offset) })
        let model: [String: Any] = [
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ids,
        ]
        let padding: [String: Any] = [
            "strategy": ["Fixed": 5], "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        ]
        let normalizer: [String: Any] = ["type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true]
        let postProcessor: [String: Any] = ["type": "BertProcessing", "sep": ["[SEP]", 3] as [Any], "cls": ["[CLS]", 2] as [Any]]
        let document: [String: Any] = [
            "version": "1.0", "truncation": ["max_length": 5, "strategy": "LongestFirst", "stride": 0] as [String: Any],
            "padding": padding, "normalizer": normalizer, "pre_tokenizer": ["type": "BertPreTokenizer"], "post_processor": postProcessor,
            "decoder": ["type": "WordPiece", "prefix": "##", "cleanup": true] as [String: Any], "model": model,
        ]
        return try JSONSerialization.data(withJSONObject: document)
    }
}
