import Foundation

/// The sizes of a scale.
struct RedcoSetting: Sendable {
    static let ranks: Int = 4

    var dimensions: Int = 128
    var layers: Int = 4
    var length: Int = 64
    /// Rows of a step over all copies.
    var rows: Int = 16
    var steps: Int = 30
    /// Held rows that tokens are predicted in; no multiple of a batch.
    var predicted: Int = 21
    /// Steps of the pipelines.
    var pipelineSteps: Int = 60
    var pipelineBatch: Int = 32
    /// Rounds of playing.
    var rounds: Int = 12
    var tasks: Int = 200
    var sentences: Int = 4000
    var digits: Int = 2000
    /// Rows of characters that are kept.
    var rowLimit: Int = 600

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (dimensions, layers, length, rows, steps, predicted) = (32, 2, 16, 4, 3, 5)
            (pipelineSteps, pipelineBatch, rounds, tasks, sentences, digits, rowLimit) = (2, 16, 1, 8, 60, 128, 60)
        case .small: break
        case .full: (dimensions, layers, length, rows, steps, rowLimit) = (512, 12, 512, 64, 1000, 20_000)
        }
    }
}
