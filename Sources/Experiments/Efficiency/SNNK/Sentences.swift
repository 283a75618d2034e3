import Foundation
import Torch
import Training

/// Labelled sentences, as texts.
struct Sentences {
    let texts: [String]
    let labels: [Int]

    private func prefix(_ limit: Int?) -> Sentences {
        Sentences(texts: Array(texts.prefix(limit ?? texts.count)), labels: Array(labels.prefix(limit ?? labels.count)))
    }

    /// TREC's questions by their six coarse classes.
    static func questions(limit: Int?) throws -> Sentences {
        let file: String = "\(try DataDirectory.standard.locate("trec_qc"))/train_5500.label"
        let lines: [Substring] = String(String.UnicodeScalarView(try readFile(file).map { Unicode.Scalar($0) })).split(
            whereSeparator: \.isNewline)
        let classes: [String] = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
        var (texts, labels): ([String], [Int]) = ([], [])
        for (number, line) in lines.enumerated() {
            let parts: [Substring] = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, let label = classes.firstIndex(of: String(parts[0].prefix { $0 != ":" })) else {
                throw DataFormatError(path: file, at: .line(number + 1), "expected a class and a question")
            }
            texts.append(String(parts[1]))
            labels.append(label)
        }
        return Sentences(texts: texts, labels: labels).prefix(limit)
    }

    /// SST-2's sentences, 1 for a positive one.
    static func sentiments(_ part: String, limit: Int?) throws -> Sentences {
        let table: CSVTable = try CSVTable(
            path: "\(try DataDirectory.standard.locate("sst2"))/\(part).tsv", format: .tsv, kinds: ["column1": .text, "column2": .numeric])
        guard case .text(let texts) = table.columns[0] else { throw DataFormatError(path: table.path, "has no column of sentences") }
        return Sentences(texts: texts.map { $0 ?? "" }, labels: try table.numbers("column2").map { Int($0) }).prefix(limit)
    }

    /// As tokens, cut to a length.
    func encoded(_ tokenizer: BPETokenizer, length: Int) -> TokenizedSentences {
        TokenizedSentences(tokens: texts.map { Array(tokenizer.encode($0).prefix(length)) }, labels: labels)
    }
}

/// Labelled sentences as token ids.
struct TokenizedSentences: Sendable {
    let tokens: [[Int]]
    let labels: [Int]

    /// Sentences of a step, padded to the longest of them.
    struct Batch: Sendable {
        let tokens: [Int]
        let lengths: [Int]
        let labels: [Int]

        /// Tokens `[B, T]`, mask `[B, T]` and labels `[B]`.
        func tensors() -> (tokens: Tensor, mask: Tensor, labels: Tensor) {
            let width: Int = tokens.count / labels.count
            let mask: Tensor = Tensor.arange(width) .< Tensor(lengths, [lengths.count, 1])
            return (Tensor(tokens, [labels.count, width]), mask, Tensor(labels))
        }
    }

    func batch(_ indices: some Collection<Int>) -> Batch {
        let longest: Int = max(1, indices.map { tokens[$0].count }.max() ?? 1)
        return Batch(
            tokens: indices.flatMap { tokens[$0] + Array(repeating: 0, count: longest - tokens[$0].count) },
            lengths: indices.map { max(1, tokens[$0].count) }, labels: indices.map { labels[$0] })
    }

    /// All sentences in order.
    func batches(rows: Int) -> [Batch] {
        stride(from: 0, to: labels.count, by: rows).map { batch($0..<min($0 + rows, labels.count)) }
    }

    /// Shuffled passes.
    func source(rows: Int, seed: UInt64) -> GeneratedBatches<Batch> {
        let order: ShuffledIndices = ShuffledIndices(count: labels.count, seed: seed)
        return GeneratedBatches(itemsPerBatch: rows, itemName: "sentences") { batch(try order.batch($0, of: rows)) }
    }
}
