/// The `tokenizer.json` documents of the tokenizers that are made here.
enum TokenizerDocument {
    static func make(
        model: JSONValue, addedTokens: [JSONValue] = [], preTokenizer: JSONValue = .null, decoder: JSONValue
    ) -> JSONValue {
        .object([
            "version": .string("1.0"), "truncation": .null, "padding": .null, "added_tokens": .array(addedTokens), "normalizer": .null,
            "pre_tokenizer": preTokenizer, "post_processor": .null, "decoder": decoder, "model": model,
        ])
    }

    private static let lengthFields: Set<[UInt8]> = [Array("truncation".utf8), Array("padding".utf8)]

    /// A document that says nothing on cutting and padding.
    static func withoutLengths(_ document: JSONValue) -> JSONValue {
        guard case .object(let members) = document else { return document }
        return .object(members.map { lengthFields.contains($0.key) ? JSONMember(key: $0.key, value: .null) : $0 })
    }

    static func bytePairModel(vocabulary: [JSONMember], merges: [JSONValue], unknownToken: String? = nil) -> JSONValue {
        .object([
            "type": .string("BPE"), "dropout": .null, "unk_token": unknownToken.map(JSONValue.string) ?? .null,
            "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": .bool(false), "byte_fallback": .bool(false),
            "ignore_merges": .bool(false), "vocab": .object(vocabulary), "merges": .array(merges),
        ])
    }

    static func byteLevel(usesPattern: Bool) -> JSONValue {
        .object([
            "type": .string("ByteLevel"), "add_prefix_space": .bool(false), "trim_offsets": .bool(true), "use_regex": .bool(usesPattern),
        ])
    }

    static func specialToken(_ content: [UInt8], id: Int) -> JSONValue {
        .object([
            "id": .integer(id), "content": .string(content), "single_word": .bool(false), "lstrip": .bool(false), "rstrip": .bool(false),
            "normalized": .bool(false), "special": .bool(true),
        ])
    }
}
