import Synchronization

/// What a server counts, in Prometheus' text format.
public final class ServingMetrics: Sendable {
    private struct Values {
        /// By route, status.
        var responses: [String: Int] = [:]
        /// Ended texts by ``FinishReason``.
        var ended: [String: Int] = [:]
        var texts: Int = 0
        var promptTokens: Int = 0
        var drawnTokens: Int = 0
        var batchRows: Histogram = Histogram([1, 2, 4, 8, 16, 32, 64, 128, 256])
        var firstToken: Histogram = Histogram([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])
        var duration: Histogram = Histogram([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120])
    }

    /// Counts of values up to each bound.
    private struct Histogram {
        private let bounds: [Double]
        private var counts: [Int]
        private var sum: Double = 0
        private var count: Int = 0

        init(_ bounds: [Double]) {
            self.bounds = bounds
            counts = Array(repeating: 0, count: bounds.count)
        }

        mutating func add(_ value: Double) {
            sum += value
            count += 1
            for index in bounds.indices where value <= bounds[index] { counts[index] += 1 }
        }

        func lines(_ name: String) -> [String] {
            zip(bounds, counts).map { "\(name)_bucket{le=\"\($0)\"} \($1)" }
                + ["\(name)_bucket{le=\"+Inf\"} \(count)", "\(name)_sum \(sum)", "\(name)_count \(count)"]
        }
    }

    private let values: Mutex<Values> = Mutex(Values())

    init() {}

    func recordResponse(route: String, status: Int) {
        values.withLock { $0.responses["route=\"\(route)\",status=\"\(status)\"", default: 0] += 1 }
    }

    func recordAccepted(_ requests: [GenerationRequest]) {
        values.withLock { values in
            values.texts += requests.count
            values.promptTokens += requests.reduce(0) { $0 + $1.prompt.count }
        }
    }

    func recordStep(rows: Int) { values.withLock { $0.batchRows.add(Double(rows)) } }

    /// A text that has ended.
    func record(_ row: Row) {
        values.withLock { values in
            if let reason = row.reason { values.ended[reason.rawValue, default: 0] += 1 }
            values.drawnTokens += row.drawn
            values.duration.add(seconds(since: row.job.arrival, to: .now))
            if let first = row.firstToken { values.firstToken.add(seconds(since: row.job.arrival, to: first)) }
        }
    }

    private func seconds(since start: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Double { (end - start) / .seconds(1) }

    /// The page that `/metrics` gives.
    /// - Parameter load: texts that wait and texts that run, at this moment.
    func page(load: (waiting: Int, running: Int)) -> String {
        let values: Values = values.withLock { $0 }
        var lines: [String] = []
        func metric(_ name: String, _ kind: String, _ help: String, _ samples: [String]) {
            lines += ["# HELP linnet_\(name) \(help)", "# TYPE linnet_\(name) \(kind)"] + samples
        }
        func counts(_ name: String, _ counts: [String: Int]) -> [String] {
            counts.sorted { $0.key < $1.key }.map { "linnet_\(name){\($0.key)} \($0.value)" }
        }
        let reasons: [String: Int] = Dictionary(uniqueKeysWithValues: values.ended.map { ("reason=\"\($0.key)\"", $0.value) })
        metric("http_responses_total", "counter", "Responses by route and status.", counts("http_responses_total", values.responses))
        metric("texts_total", "counter", "Texts that were accepted.", ["linnet_texts_total \(values.texts)"])
        metric("texts_ended_total", "counter", "Texts that have ended, by reason.", counts("texts_ended_total", reasons))
        metric("prompt_tokens_total", "counter", "Tokens of accepted prompts.", ["linnet_prompt_tokens_total \(values.promptTokens)"])
        metric(
            "completion_tokens_total", "counter", "Tokens drawn for texts that have ended.",
            ["linnet_completion_tokens_total \(values.drawnTokens)"])
        metric("queue_length", "gauge", "Texts that wait for a place.", ["linnet_queue_length \(load.waiting)"])
        metric("running_texts", "gauge", "Texts that are being continued.", ["linnet_running_texts \(load.running)"])
        metric("batch_rows", "histogram", "Texts in a step.", values.batchRows.lines("linnet_batch_rows"))
        metric(
            "first_token_seconds", "histogram", "From a request's arrival to its first token.",
            values.firstToken.lines("linnet_first_token_seconds"))
        metric("text_seconds", "histogram", "From a request's arrival to its end.", values.duration.lines("linnet_text_seconds"))
        return lines.joined(separator: "\n") + "\n"
    }
}
