import Foundation
import SequenceModels
import Torch

/// How time and memory of the operators grow with the length, and that a decoding step does not.
enum GrowthBenchmark: Benchmark {
    static let name: String = "growth"
    static let summary: String =
        "time at twice the length, peak memory over the tensors' own, time of a decoding step after short and long texts"

    private static let lengths: [Int] = [2048, 4096, 8192, 16384]
    private static let repetitions: Int = 7

    static func run() throws {
        Threads.count = 2
        printLine("forward and backward, D 64, B 2, H 4")
        printLine("op             T         ms   over half the length   peak memory MB   over inputs, outputs and their gradients")
        for name in KernelCase.names { measure(name) }
        try measureDecoding()
    }

    private static func measure(_ name: String) {
        let cases: [KernelCase] = lengths.map { KernelCase(name, width: 64, length: $0) }
        // Lengths take turns.
        var times: [[Double]] = cases.map { _ in [] }
        for _ in 0...repetitions {
            for (index, item) in cases.enumerated() { times[index].append(Timing.seconds { item.run(backward: true) }) }
        }
        var previous: Double?
        for (item, values) in zip(cases, times) {
            let time: Double = values.dropFirst().min()!
            // The inputs and the output's gradient were there before.
            let peak: Int = Memory.measure { item.run(backward: true) }.usage.peakByteCount + item.tensorBytes(backward: false)
            let growth: String = previous.map { String(format: "%.2f", time / $0) } ?? "-"
            printLine(
                name.padding(toLength: 9, withPad: " ", startingAt: 0)
                    + String(format: "%7d %10.2f   ", item.length, time * 1e3) + growth.padding(toLength: 20, withPad: " ", startingAt: 0)
                    + String(
                        format: "   %14.1f   %.2f", Double(peak) / 1e6, Double(peak) / Double(item.tensorBytes(backward: true))))
            previous = time
        }
    }

    private static func measureDecoding() throws {
        printLine("decoding step of a 4-layer model, D 256")
        printLine("mixer        after T      ms   state KB")
        for kind in [MixerKind.deltanet, .gla] {
            let model: LanguageModel = try LanguageModel(
                LanguageModelConfiguration(vocabularySize: 256, dimensions: 256, layers: 4, mixer: MixerConfiguration(kind, heads: 4)))
            for length in [128, 1024, 8192] { measureDecoding(model, "\(kind)", after: length) }
        }
    }

    private static func measureDecoding(_ model: LanguageModel, _ name: String, after length: Int) {
        noGrad {
            var state: LanguageModelState? = model.initialState(batch: 1)
            _ = model(.zeros([1, length], dtype: .int64, device: .cpu), state: &state)
            var decoding: LanguageModelState = state!
            let token: Tensor = .zeros([1], dtype: .int64, device: .cpu)
            let times: [Double] = (0..<15).map { _ in Timing.seconds(iterations: 20) { _ = model.step(token, state: &decoding) } }
            printLine(
                name.padding(toLength: 22, withPad: " ", startingAt: 0)
                    + String(
                        format: "%6d %7.3f %10d", length, Timing.median(times) * 1e3, model.stateBytes(batch: 1, length: length) / 1024))
        }
    }
}
