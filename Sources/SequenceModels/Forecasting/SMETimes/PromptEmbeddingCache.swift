import Torch

/// The embeddings of the prompts of a series' segments: each is read by the language model once, without a gradient, and kept.
///
/// Segments of the series are known by the step that they begin with. Those that a forecast has made up are not kept: their statistics are
/// the predictions'.
public final class PromptEmbeddingCache {
    private let data: ForecastSeries
    private let segment: Int
    private let source: PromptSource
    private let prompt: StatisticalPrompt
    private let encode: ([String]) -> Tensor
    /// Row of the table by segment.
    private var rows: [Key: Int] = [:]
    /// `[prompts, D]`
    private var table: Tensor?

    private struct Key: Hashable {
        let start: Int
        let variable: Int
    }

    /// - Parameters:
    ///   - data: the series.
    ///   - segment: steps of a segment, τ.
    ///   - source: whose statistics a variable's prompts tell.
    ///   - encode: texts to embeddings `[texts, D]`.
    public init(_ data: ForecastSeries, segment: Int, source: PromptSource, encode: @escaping ([String]) -> Tensor) {
        self.data = data
        self.segment = segment
        self.source = source
        self.encode = encode
        prompt = StatisticalPrompt { data.label(of: $0) }
    }

    /// Prompts that were read and kept.
    public var count: Int { rows.count }

    /// Embeddings of the first `segments` segments of windows that begin at the given steps, `[B, N, segments, D]`.
    public func embeddings(starts: [Int], segments: Int) -> Tensor {
        let variables: [Int] = variables
        let keys: [Key] = starts.flatMap { start in
            variables.flatMap { variable in (0..<segments).map { Key(start: start + $0 * segment, variable: variable) } }
        }
        read(keys)
        let indices: [Int] = keys.compactMap { rows[$0] }
        guard let table else { preconditionFailure("no prompts for \(starts.count) windows of \(segments) segments") }
        let chosen: Tensor = table.indexSelect(axis: 0, indices: Tensor(indices, [indices.count], device: table.device))
        return chosen.reshaped(starts.count, variables.count, segments, -1)
    }

    /// Embeddings of predicted segments, `[B, N, D]`.
    /// - Parameters:
    ///   - values: standardised, `[B, τ, N]`.
    ///   - starts: the step of the series that each begins with.
    public func embeddings(predicted values: Tensor, starts: [Int]) -> Tensor {
        let variables: [Int] = variables
        let columns: [[Float]] = data.restored(values.detached()).mT.flattened(from: 0, to: 1).unbound(axis: 0).map { $0.array() }
        let texts: [String] = starts.indices.flatMap { row in
            variables.map { prompt.text(segment: columns[row * variables.count + $0], start: starts[row]) }
        }
        return encode(texts).reshaped(starts.count, variables.count, -1)
    }

    /// The variable whose statistics stand for each one.
    private var variables: [Int] {
        let width: Int = data.series.width
        return (0..<width).map { source == .lastColumn ? width - 1 : $0 }
    }

    /// Has the language model read what is not known yet.
    private func read(_ keys: [Key]) {
        var missing: [Key] = []
        for key in keys where rows[key] == nil {
            rows[key] = rows.count
            missing.append(key)
        }
        guard !missing.isEmpty else { return }
        let width: Int = data.series.width
        let texts: [String] = missing.map { key in
            precondition(
                key.start >= 0 && key.start + segment <= data.series.length,
                "a segment from step \(key.start) of a series of \(data.series.length)")
            let values: [Float] = (key.start..<key.start + segment).map { data.series.values[$0 * width + key.variable] }
            return prompt.text(segment: values, start: key.start)
        }
        let found: Tensor = encode(texts)
        table = table.map { concatenated([$0, found], axis: 0) } ?? found
    }
}
