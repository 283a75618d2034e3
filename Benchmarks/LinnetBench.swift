import Foundation
import Torch

/// `linnet-bench NAME...` runs the named benchmarks; without a name it lists them.
@main
struct LinnetBench {
    private static var benchmarks: [any Benchmark.Type] {
        [
            OverheadBenchmark.self,
            AdamWStepBenchmark.self,
            OptimizerBenchmark.self,
            KernelBenchmark.self,
            MemoryBenchmark.self,
            GrowthBenchmark.self,
            ScanBenchmark.self,
            TrainStepBenchmark.self,
            LowRankBenchmark.self,
            QuantizedBenchmark.self,
            PapersBenchmark.self,
            GradientExchangeBenchmark.self,
        ]
    }

    static func main() {
        Memory.keepFreedBlocks()
        let names: [String] = Array(CommandLine.arguments.dropFirst())
        if names.isEmpty {
            for benchmark in benchmarks { print("\(benchmark.name)\t\(benchmark.summary)") }
            return
        }
        do {
            for name in names { try find(name).run() }
        } catch {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            exit(2)
        }
    }

    private static func find(_ name: String) throws -> any Benchmark.Type {
        guard let found = benchmarks.first(where: { $0.name == name }) else {
            throw BenchmarkError(description: "no benchmark '\(name)'; there are: \(benchmarks.map { $0.name }.joined(separator: ", "))")
        }
        return found
    }
}
