import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch

@testable import Training

/// A regression on batches that are a function of the step, for one rank or several.
private struct Problem {
    static let rows: Int = 12

    struct Batch: DivisibleBatch {
        var values: [Float]
        var rows: Int { values.count / 4 }
        func part(_ index: Int, of count: Int) -> Batch {
            let size: Int = values.count / count
            return Batch(values: Array(values[index * size..<(index + 1) * size]))
        }
    }

    let source: GeneratedBatches<Batch> = GeneratedBatches(itemsPerBatch: rows, itemName: "samples") { step in
        var generator: SplitMix64 = SplitMix64(seed: UInt64(step))
        return Batch(values: (0..<4 * rows).map { _ in Float(generator.next(below: 2000)) / 1000 - 1 })
    }

    var accumulation: Int = 1
    var sharded: Bool = false
    var folder: URL?
    var steps: Int = 50
    var checkpointEvery: Int = 20
    /// Throws in this step, on rank 0, as often as the loss is computed for it.
    var failing: Int?

    struct Failure: Error {}

    final class Model: Module {
        let first: Linear
        let second: Linear

        init(seed: UInt64) {
            let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
            first = Linear(4, 16, generator: generator)
            second = Linear(16, 1, generator: generator)
            super.init()
        }

        func loss(_ batch: Batch) -> Tensor {
            let x: Tensor = Tensor(batch.values, [batch.rows, 4], device: .cpu)
            return (second(first(x).tanh()).squeezed(axis: 1) - x.sum(axis: 1)).square().mean()
        }
    }

    struct Outcome: Sendable {
        let parameters: [Float]
        let losses: [Double]
        let stateBytes: Int
    }

    /// Trains on a rank; the model starts from other numbers on each, which rank 0's replace.
    func train(_ group: ProcessGroup, resume: Bool = false) throws -> Outcome {
        let model: Model = Model(seed: UInt64(group.rank + 1))
        let configuration: TrainerConfiguration = try TrainerConfiguration(
            steps: steps, accumulation: accumulation, schedule: .warmUpCosine(warmUp: 3, finalFraction: 0.1),
            checkpointEvery: checkpointEvery, checkpointMinutes: nil, prefetch: 0)
        let groups: [ParameterGroup] = .decayingMatricesOnly(model.namedParameters())
        let rule: AdamWConfiguration = try AdamWConfiguration(learningRate: 0.02)
        let optimizer: any Optimizer =
            sharded
            ? try ZeroRedundancyOptimizer(groups: groups, configuration: rule, group: group)
            : try AdamW(groups: groups, configuration: rule)
        var calls: Int = 0
        let trainer: Trainer<ShardedBatches<GeneratedBatches<Batch>>> = try Trainer(
            model: model, optimizer: optimizer, source: try ShardedBatches(source, rows: Self.rows, over: group),
            configuration: configuration, folder: folder, group: group, progress: .quiet
        ) { batch in
            calls += 1
            if let failing, calls > failing { throw Failure() }
            return model.loss(batch)
        }
        let result: TrainingResult = try trainer.run(resume: resume)
        return Outcome(
            parameters: model.parameters().flatMap { $0.array(Float.self) }, losses: result.losses, stateBytes: optimizer.stateByteCount)
    }

    func onRanks(_ count: Int, resume: Bool = false) throws -> [Outcome] {
        try ProcessGroup.onThreads(count, timeout: 20) { try train($0, resume: resume) }
    }
}

private func distance(_ left: [Float], _ right: [Float]) -> Float { zip(left, right).map { abs($0 - $1) }.max() ?? .infinity }

@Suite("Data parallel training", .ownRandomNumbers)
struct DataParallelTests {
    @Test("after 50 steps it equals one process to 1e-5, on every rank alike", arguments: [2, 3, 4], [1, 2])
    func equalsOneProcess(worldSize: Int, accumulation: Int) throws {
        let problem: Problem = Problem(accumulation: accumulation)
        let one: Problem.Outcome = try problem.train(.single)
        let several: [Problem.Outcome] = try problem.onRanks(worldSize)
        for outcome in several {
            #expect(distance(outcome.parameters, one.parameters) <= 1e-5)
            #expect(outcome.parameters == several[0].parameters)
            #expect(zip(outcome.losses, one.losses).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, $1) })
        }
        #expect(one.losses.last! < one.losses[0] / 3)
    }

    @Test("a sharded optimizer gives the same numbers and holds a part of the state", arguments: [2, 3])
    func zeroRedundancy(worldSize: Int) throws {
        let plain: [Problem.Outcome] = try Problem().onRanks(worldSize)
        let sharded: [Problem.Outcome] = try Problem(sharded: true).onRanks(worldSize)
        #expect(sharded.allSatisfy { $0.parameters == plain[0].parameters })
        #expect(sharded.map(\.stateBytes).reduce(0, +) == plain[0].stateBytes)
        #expect(sharded.allSatisfy { $0.stateBytes < plain[0].stateBytes })
        #expect(ZeroRedundancyOptimizer<AdamWConfiguration>.owners([4, 9, 4, 1, 9], ranks: 2) == [0, 0, 1, 0, 1])
    }

    @Test("a run whose rank failed continues from its checkpoint with another number of ranks", arguments: [false, true])
    func resumesWithOtherRanks(sharded: Bool) throws {
        let one: Problem.Outcome = try Problem().train(.single)
        try TestPaths.withTemporaryFolder { folder in
            var problem: Problem = Problem(sharded: sharded, folder: folder)
            problem.failing = 33
            #expect(throws: Problem.Failure.self) { try problem.onRanks(3) }
            #expect(CheckpointStore(folder).steps == [20])
            problem.failing = nil
            let continued: [Problem.Outcome] = try problem.onRanks(2, resume: true)
            #expect(continued.allSatisfy { distance($0.parameters, one.parameters) <= 1e-5 })
            #expect(continued[0].losses.count == 30)
            // And alone, from the checkpoint that two ranks have written.
            #expect(try problem.train(.single, resume: true).parameters == continued[0].parameters)
        }
    }

    @Test("buckets start while the backward pass goes on, and give the mean")
    func overlap() throws {
        let counts: [[Int]] = try ProcessGroup.onThreads(2) { group in
            let model: Problem.Model = Problem.Model(seed: 3)
            let parallel: DistributedDataParallel = try DistributedDataParallel(model, group: group, bucketBytes: 128)
            let batch: Problem.Batch = try Problem().source.batch(group.rank)
            let (_, gradients): (Tensor, [Tensor]) = try parallel.valueAndGradients { model.loss(batch) }
            let own: [Tensor] = valueAndGrad(of: model.parameters()) { model.loss(batch) }.gradients
            for (mean, gradient) in zip(gradients, own) {
                let gathered: [Tensor] = try group.allGather(gradient.contiguous())
                #expect((mean - (gathered[0] + gathered[1]) / 2).abs().max().item(Float.self) <= 1e-6)
            }
            let average: [Tensor] = try parallel.average(own.map { Optional($0) })
            #expect(zip(average, gradients).allSatisfy { ($0 - $1).abs().max().item(Float.self) <= 1e-6 })
            return [
                parallel.bucketCounts.all, try parallel.valueAndGradients { model.loss(batch) }.gradients.count,
                parallel.bucketCounts.overlapped,
            ]
        }
        for count in counts {
            #expect(count[0] == 3, "weights of 256 and 64 bytes, biases between them")
            #expect(count[2] >= count[0] - 1, "all but perhaps the last begin before the pass has ended")
        }
    }

    @Test("a parameter without a gradient counts as zeros")
    func unusedParameter() throws {
        let norms: [Float] = try ProcessGroup.onThreads(2) { group in
            let model: Sequential = Sequential([Linear(2, 2), Linear(2, 2)])
            let parallel: DistributedDataParallel = try DistributedDataParallel(model, group: group)
            let used: Tensor = parallel.parameters[0].tensor
            let (_, gradients): (Tensor, [Tensor]) = try parallel.valueAndGradients { (used * Float(group.rank + 1)).sum() }
            #expect(gradients[0].array(Float.self) == [1.5, 1.5, 1.5, 1.5])
            return gradients[2].abs().sum().item(Float.self)
        }
        #expect(norms == [0, 0])
    }

    @Test("replicas that differ in one bit are noticed on every rank")
    func divergence() throws {
        let noticed: [Bool] = try ProcessGroup.onThreads(3) { group in
            let model: Problem.Model = Problem.Model(seed: 1)
            let parallel: DistributedDataParallel = try DistributedDataParallel(model, group: group)
            try parallel.checkReplicas()
            if group.rank == 1 {
                noGrad {
                    let one: Tensor = model.first.weight.detached().flattened().narrowed(axis: 0, start: 5, length: 1)
                    one.copy_(from: (one.reinterpreted(as: .int32) + 1).reinterpreted(as: .float32))
                }
            }
            do { try parallel.checkReplicas() } catch is DistributedError { return true }
            return false
        }
        #expect(noticed == [true, true, true])
    }

    @Test("a checksum sees exchanged values and every type")
    func checksum() {
        let numbers: Tensor = Tensor([1, 2, 3] as [Float], device: .cpu)
        let swapped: Tensor = Tensor([2, 1, 3] as [Float], device: .cpu)
        #expect(Replicas.checksum([numbers]) != Replicas.checksum([swapped]))
        #expect(Replicas.checksum([numbers, swapped]) != Replicas.checksum([swapped, numbers]))
        for type in [DType.bfloat16, .float64, .int64, .bool, .int8] { #expect(Replicas.checksum([numbers.asType(type)]) != 0) }
        #expect(Replicas.checksum([Tensor.zeros([0], device: .cpu)]) == 0)
    }

    @Test("a batch that does not divide among the ranks is refused with the next one that does")
    func indivisible() throws {
        let errors: [String] = try ProcessGroup.onThreads(5) { group in
            do { _ = try ShardedBatches(Problem().source, rows: 12, over: group) } catch { return "\(error)" }
            return ""
        }
        #expect(errors[0].contains("a batch of 12 does not divide among 5 processes") && errors[0].contains("15"))
    }

    @Test("the parts of a batch put together are the batch")
    func parts() {
        let batch: TokenBatch = TokenBatch(tokens: Array(0..<12), targets: Array(1..<13), rows: 6)
        let parts: [TokenBatch] = (0..<3).map { batch.part($0, of: 3) }
        #expect(parts.flatMap(\.tokens) == batch.tokens && parts.flatMap(\.targets) == batch.targets)
        #expect(parts.allSatisfy { $0.rows == 2 && $0.length == 2 })
    }
}
