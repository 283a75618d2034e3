/// Which parameters a rule leaves to its fallback, by name.
enum ExcludedNames {
    /// Token and position tables and output heads, as Linnet's and Hugging Face's models call them.
    static let embeddingsAndHeads: [String] = ["embed", "position", "wte", "wpe", "head"]

    /// Whether one of the name's dotted parts begins or ends with one of the words, whatever the case: `head` stands for `head.weight` and
    /// `lm_head.weight` and not for `multi_head_attention.weight`.
    static func contains(_ name: String, among words: [String]) -> Bool {
        name.lowercased().split(separator: ".").contains { part in
            words.contains { part.hasPrefix($0.lowercased()) || part.hasSuffix($0.lowercased()) }
        }
    }
}
