import Foundation

/// A byte pair encoding tokenizer, read from a `tokenizer.json` or trained here (byte-level, as GPT-2's).
public struct BPETokenizer: PipelineTokenizer {
    public let pipeline: TokenizerPipeline

    /// Reads a `tokenizer.json`, or the one in a directory.
    ///
    /// - Throws: `FileError` where the file cannot be read, else ``TokenizerError/inFile(_:_:)`` naming the field.
    public init(contentsOf url: URL) throws {
        pipeline = try TokenizerPipeline(contentsOf: url)
        guard case .bytePair = pipeline.model else {
            throw TokenizerError.inFile(tokenizerFile(at: url).path, .invalidValue(field: "model.type", reason: "expected BPE"))
        }
    }

    /// Reads a `tokenizer.json` from memory.
    ///
    /// - Throws: ``TokenizerError``, naming the field.
    public init(json: Data) throws {
        pipeline = try TokenizerPipeline(json: json)
        guard case .bytePair = pipeline.model else {
            throw TokenizerError.invalidValue(field: "model.type", reason: "expected BPE")
        }
    }

    init?(pipeline: TokenizerPipeline) {
        guard case .bytePair = pipeline.model else { return nil }
        self.pipeline = pipeline
    }

    /// Learns a byte-level vocabulary: the special tokens, the 256 bytes, then merges of the most frequent pair, one after the other.
    ///
    /// The result is that of the `tokenizers` package's `BpeTrainer` with `ByteLevel` pre-tokenizer (without prefix space) and alphabet;
    /// among equally frequent pairs that of the lower ids wins.
    ///
    /// - Parameters:
    ///   - corpus: texts; no pair spans two of them.
    ///   - vocabularySize: how many ids at most; fewer where no pair is frequent enough. At least the special tokens and the 256 bytes
    ///     are taken in.
    ///   - minimumFrequency: pairs that occur more rarely are not merged.
    ///   - specialTokens: get the first ids in this order.
    ///   - progress: called now and then with the size so far and the size aimed at.
    /// - Throws: ``TokenizerError/invalidValue(field:reason:)`` for an empty or repeated special token.
    public static func train(
        corpus: some Sequence<String>, vocabularySize: Int, minimumFrequency: Int = 0, specialTokens: [String] = [],
        progress: ((_ size: Int, _ goal: Int) -> Void)? = nil
    ) throws -> BPETokenizer {
        var counts = WordCounts()
        for text in corpus { counts.add(text) }
        let special = specialTokens.map { Array($0.utf8) }
        guard special.allSatisfy({ !$0.isEmpty }), Set(special).count == special.count else {
            throw TokenizerError.invalidValue(field: "specialTokens", reason: "special tokens must be neither empty nor repeated")
        }
        var trainer = BPETrainer(words: counts.words, specialTokens: special)
        trainer.train(vocabularySize: vocabularySize, minimumFrequency: minimumFrequency, progress: progress)
        return BPETokenizer(pipeline: try TokenizerPipeline(document: trainer.document(specialTokens: special)))!
    }

    /// As ``train(corpus:vocabularySize:minimumFrequency:specialTokens:progress:)-(Sequence<String>,_,_,_,_)`` with one text.
    public static func train(
        corpus: String, vocabularySize: Int, minimumFrequency: Int = 0, specialTokens: [String] = [],
        progress: ((_ size: Int, _ goal: Int) -> Void)? = nil
    ) throws -> BPETokenizer {
        try train(
            corpus: CollectionOfOne(corpus), vocabularySize: vocabularySize, minimumFrequency: minimumFrequency,
            specialTokens: specialTokens, progress: progress)
    }
}
