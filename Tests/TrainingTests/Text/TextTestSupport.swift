import Foundation
import Testing

/// Where tests on text find what they read.
enum TextTestPaths {
    private static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func folder(_ variable: String, default name: String) -> URL {
        let environment = ProcessInfo.processInfo.environment[variable]
        return environment.map { URL(fileURLWithPath: $0) } ?? packageRoot.appendingPathComponent("../shared/\(name)").standardizedFileURL
    }

    static let fixtures = ["hf_gpt2_tiny", "hf_llama_tiny", "hf_bert_tiny"].map {
        folder("LINNET_FIXTURES", default: "fixtures").appendingPathComponent($0)
    }
    static let shakespeare = folder("LINNET_DATA", default: "data").appendingPathComponent("tinyshakespeare/input.txt")

    static let hasFixtures = fixtures.allSatisfy { FileManager.default.fileExists(atPath: $0.path) }
    static let hasShakespeare = FileManager.default.fileExists(atPath: shakespeare.path)

    /// The Python of `make test`, else that of the checkout's environment.
    static let python =
        ProcessInfo.processInfo.environment["LINNET_PYTHON"] ?? packageRoot.appendingPathComponent(".libtorch/bin/python3").path

    /// A new folder, removed after use.
    static func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-text-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}

/// A seeded generator (SplitMix64), so that a failure can be seen again.
struct TextRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
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
        var random = TextRandom(seed: seed)
        return (0..<count).map { _ in
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 0...9, using: &random) { text += part(&random) }
            return text
        }
    }

    private static func part(_ random: inout TextRandom) -> [UInt8] {
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
