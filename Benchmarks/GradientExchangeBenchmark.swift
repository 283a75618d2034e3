import Efficiency
import Foundation
import Torch
import Training

/// Bytes on the wire and time of an exchange of gradients, plain and compressed. Runs on four threads, or on the processes of `linnet launch`; with
/// Benchmarks/limited-link.sh between two network namespaces whose link is slow.
enum GradientExchangeBenchmark: Benchmark {
    static let name: String = "gradients"
    static let summary: String =
        "bytes a step and time of exchanging gradients: plain, low rank, top-k and quantised, uniform and by L-GreCo"

    /// Those of a small convolutional network: layers of very unequal size.
    private static let shapes: [[Int]] = [[16, 1, 3, 3], [32, 16, 3, 3], [256, 1568], [256], [10, 256]]
    private static let steps: Int = 20

    private struct Arm: Sendable {
        let name: String
        let reference: Double
        let layerwise: Bool
        /// Nil compresses nothing.
        let make: (@Sendable (Int) -> any GradientCompressor)?
    }

    private struct Row: Sendable {
        let name: String
        let stats: CommStats
        let seconds: Double
    }

    private static var arms: [Arm] {
        let makers: [(String, Double, @Sendable (Int) -> any GradientCompressor)] = [
            ("PowerSGD, rank 4", 4, { _ in PowerSGDCompressor() }), ("top 1 %", 0.01, { _ in TopKCompressor() }),
            ("4 bits", 4, { QuantizationCompressor(bucket: 128, seed: UInt64($0)) }),
        ]
        return [Arm(name: "no compression", reference: 1, layerwise: false, make: nil)]
            + makers.flatMap { name, reference, make in
                [false, true].map { layerwise in
                    Arm(name: "\(name), \(layerwise ? "L-GreCo" : "uniform")", reference: reference, layerwise: layerwise, make: make)
                }
            }
    }

    static func run() throws {
        let world: ProcessGroup = try .fromEnvironment()
        let rows: [Row] = world.worldSize > 1 ? try measure(world) : try ProcessGroup.onThreads(4) { try measure($0) }[0]
        guard world.rank == 0 else { return }
        printLine(
            "\(world.worldSize > 1 ? world.worldSize : 4) ranks, \(shapes.reduce(0) { $0 + $1.reduce(1, *) }) elements; a rank and step")
        printLine("exchange                       bytes   of plain      ms   of plain   modelled ms at 1 Gbit/s   at 10 Gbit/s")
        for row in rows {
            let modelled: [Double] = [1.0, 10.0].map { row.stats.seconds(on: .ethernet(gigabits: $0)) * 1000 / Double(steps) }
            let (bytes, milliseconds): (Double, Double) = (row.stats.bytes / Double(steps), row.seconds * 1000 / Double(steps))
            printLine(
                row.name.padding(toLength: 27, withPad: " ", startingAt: 0)
                    + String(
                        format: "%9.0f %10.4f %7.2f %10.3f %25.3f %14.3f", bytes, row.stats.bytes / rows[0].stats.bytes, milliseconds,
                        row.seconds / rows[0].seconds, modelled[0], modelled[1]))
        }
    }

    private static func measure(_ group: ProcessGroup) throws -> [Row] {
        let gradients: [Tensor] = shapes.enumerated().map { gradient($1, layer: $0, rank: group.rank) }
        return try arms.map { arm in
            let exchange: LGreCo = LGreCo(
                compressor: arm.make?(group.rank) ?? TopKCompressor(), reference: arm.reference, frequency: 1000,
                startIteration: arm.make == nil ? .max : 0, layerwise: arm.layerwise)
            // The first step chooses and warms up.
            _ = try exchange.average(gradients, over: group)
            try group.barrier()
            group.resetStats()
            let started: Date = Date()
            for _ in 0..<steps { _ = try exchange.average(gradients, over: group) }
            let seconds: Double = Date().timeIntervalSince(started)
            return Row(name: arm.name, stats: group.stats, seconds: seconds)
        }
    }

    /// Of quickly falling singular values, as gradients are, and of a scale of the layer's own.
    private static func gradient(_ shape: [Int], layer: Int, rank: Int) -> Tensor {
        let generator: RandomGenerator = RandomGenerator(seed: UInt64(100 * layer + rank), device: .cpu)
        let rows: Int = shape[0]
        let columns: Int = shape.dropFirst().reduce(1, *)
        let inner: Int = min(rows, columns, 16)
        let weights: Tensor = Tensor((0..<inner).map { Float(pow(2, -Double($0))) }, device: .cpu)
        let left: Tensor = Tensor.normal([rows, inner], device: .cpu, generator: generator) * weights
        let noise: Tensor = Tensor.normal([rows, columns], standardDeviation: 0.01, device: .cpu, generator: generator)
        let low: Tensor = left.matmul(Tensor.normal([inner, columns], device: .cpu, generator: generator))
        return ((low + noise) * pow(0.3, Double(layer))).reshaped(shape)
    }
}
