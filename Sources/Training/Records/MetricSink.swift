/// Takes the metrics of a training run, step by step.
///
/// `log` returns quickly and never throws: a full disk must not end a run that has trained for days. The first error that
/// writing met is thrown by `close`.
public protocol MetricSink: Sendable {
    /// Records named values at a step. NaN and infinities are values like others.
    func log(step: Int, metrics: [String: Double])
    /// Writes what is still held back. Nothing may be logged afterwards; a second call does nothing.
    func close() throws
}

/// Hands everything to several sinks.
public struct MetricFanOut: MetricSink {
    private let sinks: [any MetricSink]

    public init(_ sinks: [any MetricSink]) { self.sinks = sinks }

    public func log(step: Int, metrics: [String: Double]) {
        for sink in sinks { sink.log(step: step, metrics: metrics) }
    }

    /// Closes every sink, and only then throws the first error.
    public func close() throws {
        var first: (any Error)?
        for sink in sinks {
            do { try sink.close() } catch { first = first ?? error }
        }
        if let first { throw first }
    }
}
