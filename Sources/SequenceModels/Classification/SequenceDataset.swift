import Foundation
import Torch
import Training

/// Labelled sequences of equal length, `[length, channels]` each.
public struct SequenceDataset: Sendable {
    /// One example after the other, time by time, `count · length · channels` numbers.
    public let values: [Float]
    public let labels: [Int32]
    public let length: Int
    public let channels: Int
    /// Names of the classes, by label.
    public let classes: [String]

    public var count: Int { labels.count }

    /// Traps unless the sizes agree.
    public init(values: [Float], labels: [Int32], length: Int, channels: Int, classes: [String]) {
        precondition(
            values.count == labels.count * length * channels, "\(values.count) numbers for \(labels.count) × \(length) × \(channels)")
        self.values = values
        self.labels = labels
        self.length = length
        self.channels = channels
        self.classes = classes
    }

    /// The examples of the given indices.
    public func batch(_ indices: some Collection<Int>) -> LabelledBatch {
        let size: Int = length * channels
        return LabelledBatch(
            values: indices.flatMap { values[$0 * size..<($0 + 1) * size] }, labels: indices.map { labels[$0] }, length: length,
            channels: channels)
    }

    /// All examples in order, `rows` at a time.
    public func batches(rows: Int) -> [LabelledBatch] {
        stride(from: 0, to: count, by: rows).map { batch($0..<min($0 + rows, count)) }
    }

    /// Every `step`-th time of each example, as a recorder at a lower rate would have taken it (without a filter).
    public func decimated(_ step: Int) -> SequenceDataset {
        reading(times: Array(stride(from: 0, to: length, by: step)))
    }

    /// Each example at the given times, in their order: with a permutation of all, the same sequences in another order.
    public func reading(times: [Int]) -> SequenceDataset {
        let chosen: [Float] = (0..<count).flatMap { example in
            times.flatMap { time in
                let start: Int = (example * length + time) * channels
                return values[start..<start + channels]
            }
        }
        return SequenceDataset(values: chosen, labels: labels, length: times.count, channels: channels, classes: classes)
    }

    /// The values shifted and scaled, one mean and deviation for all channels.
    public func standardized(mean: Float, deviation: Float) -> SequenceDataset {
        SequenceDataset(
            values: values.map { ($0 - mean) / deviation }, labels: labels, length: length, channels: channels, classes: classes)
    }

    /// `count` examples spread evenly over the set (which may be sorted by class), or all where there are fewer.
    public func spread(_ count: Int) -> SequenceDataset {
        let kept: Int = min(count, self.count)
        let chosen: LabelledBatch = batch((0..<kept).map { $0 * self.count / kept })
        return SequenceDataset(values: chosen.values, labels: chosen.labels, length: length, channels: channels, classes: classes)
    }
}

/// Examples of a step.
public struct LabelledBatch: Sendable {
    public let values: [Float]
    public let labels: [Int32]
    public let length: Int
    public let channels: Int

    /// Inputs `[B, T, channels]` and labels `[B]` (int64).
    public func tensors(device: Device = .default) -> (inputs: Tensor, labels: Tensor) {
        (
            Tensor(values, [labels.count, length, channels], device: device),
            Tensor(labels, [labels.count], dtype: .int64, device: device)
        )
    }
}

/// A dataset's examples in batches, every epoch in a new order that seed and epoch fix.
public struct ShuffledExamples: BatchSource {
    public let dataset: SequenceDataset
    public let rows: Int
    private let start: ShuffledIndices

    /// Traps when a batch is larger than the dataset.
    public init(_ dataset: SequenceDataset, rows: Int, seed: UInt64) {
        precondition(rows > 0 && rows <= dataset.count, "batches of \(rows) from \(dataset.count) examples")
        self.dataset = dataset
        self.rows = rows
        start = ShuffledIndices(count: dataset.count, seed: seed)
    }

    /// Whole batches in an epoch.
    public var stepsPerEpoch: Int { dataset.count / rows }
    public var itemsPerBatch: Int { rows }
    public var itemName: String { "samples" }

    public func batch(_ step: Int) throws -> LabelledBatch { dataset.batch(try start.batch(step, of: rows)) }
}
