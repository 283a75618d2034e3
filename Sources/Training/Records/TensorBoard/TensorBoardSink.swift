import Foundation
import SwiftProtobuf
import Synchronization
import Torch

/// Writes an event file that TensorBoard reads. Each sink makes a new file in its folder; TensorBoard joins a folder's files, so a
/// resumed run writes into the same folder.
public final class TensorBoardSink: MetricSink {
    /// The event file.
    public let path: String
    private let log: AppendLog
    private let now: @Sendable () -> Date

    private static let counter = Atomic<Int>(0)

    /// Creates `folder` if it is missing, and an event file in it.
    public init(folder: String, now: @escaping @Sendable () -> Date = { Date() }) throws(FileError) {
        try AtomicFile.createFolder(folder)
        let serial = TensorBoardSink.counter.add(1, ordering: .relaxed).newValue
        let seconds = Int(now().timeIntervalSince1970)
        // TensorBoard takes files whose name holds "tfevents", in the order of their names.
        path = "\(folder)/events.out.tfevents.\(seconds).\(ProcessInfo.processInfo.hostName).\(getpid()).\(serial)"
        log = try AppendLog(path, endsInLines: false)
        self.now = now
        write(step: 0) { $0.fileVersion = "brain.Event:2" }
    }

    /// Writes scalars; TensorBoard holds them as 32-bit floats.
    public func log(step: Int, metrics: [String: Double]) {
        let values = metrics.sorted { $0.key < $1.key }.map { tag, value in
            TensorBoardSummary.Value.with {
                $0.tag = tag; $0.simpleValue = Float(value)
            }
        }
        write(step: step) { $0.summary.value = values }
    }

    /// Writes a text, shown as Markdown.
    public func log(step: Int, tag: String, text: String) {
        var tensor = TensorBoardTensor()
        tensor.dtype = .dtString
        tensor.tensorShape = TensorBoardSink.shape([1])
        tensor.stringVal = [Data(text.utf8)]
        write(step: step, tag: tag, tensor: tensor, plugin: "text")
    }

    /// Writes a histogram of the finite values among `values` in `buckets` buckets of equal width.
    public func log(step: Int, tag: String, histogram values: [Float], buckets: Int = 30) {
        precondition(buckets > 0, "TensorBoardSink: a histogram of \(buckets) buckets")
        var tensor = TensorBoardTensor()
        let rows = TensorBoardSink.histogram(values.filter(\.isFinite).map(Double.init), buckets: buckets)
        tensor.dtype = .dtDouble
        tensor.tensorShape = TensorBoardSink.shape([rows.count, 3])
        tensor.doubleVal = rows.flatMap { [$0.left, $0.right, $0.count] }
        write(step: step, tag: tag, tensor: tensor, plugin: "histograms")
    }

    public func close() throws { try log.close() }

    private func write(step: Int, tag: String, tensor: TensorBoardTensor, plugin: String) {
        var value = TensorBoardSummary.Value()
        value.tag = tag
        value.tensor = tensor
        value.metadata.pluginData.pluginName = plugin
        write(step: step) { $0.summary.value = [value] }
    }

    private func write(step: Int, _ fill: (inout TensorBoardEvent) -> Void) {
        var event = TensorBoardEvent()
        event.wallTime = now().timeIntervalSince1970
        event.step = Int64(step)
        fill(&event)
        do {
            log.append(TFRecord.frame(try event.serializedBytes()))
        } catch {
            preconditionFailure("TensorBoardSink: an event that is complete cannot be refused: \(error)")
        }
    }

    private static func shape(_ sizes: [Int]) -> TensorBoardTensorShape {
        TensorBoardTensorShape.with { shape in shape.dim = sizes.map { size in .with { $0.size = Int64(size) } } }
    }

    /// Bucket edges and counts; all values equal give one bucket around them.
    private static func histogram(_ values: [Double], buckets: Int) -> [(left: Double, right: Double, count: Double)] {
        guard let low = values.min(), let high = values.max() else { return [] }
        guard low < high else { return [(low - 0.5, high + 0.5, Double(values.count))] }
        var counts = [Int](repeating: 0, count: buckets)
        for value in values { counts[min(buckets - 1, Int((value - low) / (high - low) * Double(buckets)))] += 1 }
        let width = (high - low) / Double(buckets)
        return counts.enumerated().map { index, count in
            let right = index == buckets - 1 ? high : low + Double(index + 1) * width
            return (low + Double(index) * width, right, Double(count))
        }
    }
}
