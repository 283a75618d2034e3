import Foundation
import TestSupport

/// What tests on text read.
enum TextTestFiles {
    /// The folders of Hugging Face tokenizers with samples.
    static let fixtures: [URL] = ["hf_gpt2_tiny", "hf_llama_tiny", "hf_bert_tiny"].map { TestPaths.fixtures.appendingPathComponent($0) }
    static let shakespeare: URL = TestPaths.data.appendingPathComponent("tinyshakespeare/input.txt")

    static let hasFixtures = fixtures.allSatisfy { FileManager.default.fileExists(atPath: $0.path) }
    static let hasShakespeare = FileManager.default.fileExists(atPath: shakespeare.path)
}

/// Texts that tokenizers get wrong: emoji, joiners, marks, scripts without spaces, control characters, long whitespace, broken UTF-8.
enum OddTexts {
    private static let parts: [String] = [
        "e\u{301}", "é", "ﬁ", "①", "İ", "ẞ", "ß", "Σς", "👩‍👩‍👧", "🇫🇷", "👍🏽", "한국어", "\u{1112}\u{1161}\u{11AB}", "日本語", "中文", "हिन्दी",
        "ก็", "\u{200D}", "\u{200B}", "\u{301}", "\u{323}\u{307}", "\u{A0}", "\u{3000}", "\t", "\n", "\r\n", "   ", "      \n  ", "\u{0}",
        "\u{7}",
        "\u{1B}", "\u{7F}", "\u{85}", "\u{2028}", "don't", "DON'T", "'ſ", "'S", "it's", "we'll", "1234567", "٣٤٥", "Ⅷ", "½", "__x__", "a-b",
        "!!!", "...", "\n\n", "hello", "World", "the ", "  and", "<|endoftext|>", "<|pad|>", " <mask> ", "[MASK]", "New York", "Yorker",
        "<s>", "</s>", "▁", "▁▁", "<0x41>", "\u{FFFD}", "𝐀", "\u{FEFF}", "ŉ", "ǆ", "Ω", "Å", "ΐ", "if you do not",
    ]

    static func make(_ count: Int, seed: UInt64) -> [[UInt8]] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 0...9, using: &random) { text += part(&random) }
            return text
        }
    }

    private static func part(_ random: inout SeededGenerator) -> [UInt8] {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<6: return Array(parts.randomElement(using: &random)!.utf8)
        case 6: return (0..<Int.random(in: 1...4, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        case 7: return Array(repeating: 0x20, count: Int.random(in: 1...40, using: &random))
        default:
            let ranges: [ClosedRange<UInt32>] = [0x20...0x7E, 0x80...0x7FF, 0x3000...0x9FFF, 0x1F300...0x1F6FF]
            let value = UInt32.random(in: ranges.randomElement(using: &random)!, using: &random)
            return Array(String(Unicode.Scalar(value)!).utf8)
        }
    }
}

/// Bytes in hexadecimal.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
