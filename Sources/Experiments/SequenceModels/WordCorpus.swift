import Foundation
import SequenceModels
import Training

/// Words as tokens, as language models of words are measured: what lies between white space, and `<eos>` at the end of every line.
struct WordCorpus {
    /// Ends a line, also an empty one.
    static let endOfLine: String = "<eos>"
    /// Stands for words of the validation part that the training part does not have.
    static let unknown: String = "<unk>"

    let training: PackedTokens
    let validation: PackedTokens
    let vocabularySize: Int

    /// Gives the words of the training part ids in the order in which they come.
    init(training: String, validation: String) {
        var ids: [Substring: Int] = [:]
        let trained: [Int] = Self.words(of: training).map { word in
            let id: Int = ids[word, default: ids.count]
            ids[word] = id
            return id
        }
        let unknown: Int = ids[Self.unknown[...], default: ids.count]
        ids[Self.unknown[...]] = unknown
        self.training = PackedTokens(trained, vocabularySize: ids.count)
        self.validation = PackedTokens(Self.words(of: validation).map { ids[$0, default: unknown] }, vocabularySize: ids.count)
        vocabularySize = ids.count
    }

    /// The files `train.txt` and `valid.txt` of a data set.
    /// - Parameters:
    ///   - set: the data set.
    ///   - context: tokens that a model sees at once.
    ///   - data: where data sets are.
    /// - Throws: `DataSourceError` saying how to get a file that is missing, or what reading it throws.
    init(_ set: String = "wikitext-2", context: Int, data: DataDirectory = .standard) throws {
        let files: [String] = try ["train.txt", "valid.txt"].map { try data.locate(set, file: $0) }
        let corpus: TextCorpus = try TextCorpus(contentsOf: files.map { URL(fileURLWithPath: $0) })
        self.init(training: corpus.texts[0], validation: corpus.texts[1])
        for (part, tokens) in [("training", training), ("validation", validation)] where tokens.count <= context {
            throw TextCorpusError.shorterThanContext(part: part, tokens: tokens.count, needed: context + 1)
        }
    }

    static func words(of text: String) -> [Substring] {
        var lines: [Substring.UnicodeScalarView] = text[...].unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.flatMap { line in
            line.split(whereSeparator: \.properties.isWhitespace).map { Substring($0) } + [Self.endOfLine[...]]
        }
    }
}
