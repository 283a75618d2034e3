import NN
import Optim
import TestSupport
import Testing
import Torch

@testable import Training

/// Rules that look at whole layers, on several ranks: each rank updates the layers that it owns from the mean gradient and sends them to the others.
@Suite("Layer-wise and low-rank rules on several ranks", .ownRandomNumbers)
struct LayerRulesOnRanksTests {
    static let rows: Int = 24
    static let steps: Int = 8

    private final class Model: Module {
        let first: Linear
        let second: Linear

        override init() {
            let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
            first = Linear(6, 16, generator: generator)
            second = Linear(16, 4, generator: generator)
            super.init()
        }

        func loss(_ x: Tensor) -> Tensor { (second(first(x).tanh()) - x.narrowed(axis: 1, start: 0, length: 4).sin()).square().mean() }
    }

    struct Outcome: Sendable {
        let parameters: [Float]
        let losses: [Double]
        let state: [String: [Float]]
        let bytes: Int
    }

    /// The rows that a part of `count` sees of a step's batch.
    private static func batch(_ step: Int, part: Int, of count: Int) -> Tensor {
        let generator: RandomGenerator = RandomGenerator(seed: UInt64(step), device: .cpu)
        return Tensor.normal([rows, 6], device: .cpu, generator: generator)
            .narrowed(axis: 0, start: part * rows / count, length: rows / count)
    }

    /// One process, the batch in `parts` accumulated parts.
    private static func alone<Rule: UpdateRule>(_ rule: Rule, parts: Int) throws -> Outcome {
        let model: Model = Model()
        let optimizer: FusedOptimizer<Rule> = try FusedOptimizer(groups: groups(model), configuration: rule)
        let losses: [Double] = (0..<steps).map { step in
            let accumulator: GradientAccumulator = GradientAccumulator()
            let values: [Double] = (0..<parts).map { part in
                let (value, gradients) = valueAndGrad(of: optimizer.parameters) { model.loss(batch(step, part: part, of: parts)) }
                accumulator.add(gradients)
                return value.item(Double.self)
            }
            optimizer.step(accumulator.takeMean())
            return values.reduce(0, +) / Double(parts)
        }
        return outcome(model, losses, optimizer.stateTensors(), optimizer.stateByteCount)
    }

    private static func onRank<Rule: UpdateRule>(_ rule: Rule, _ group: ProcessGroup) throws -> Outcome {
        let model: Model = Model()
        let optimizer: ZeroRedundancyOptimizer<Rule> = try ZeroRedundancyOptimizer(
            groups: groups(model), configuration: rule, group: group)
        let named: [(name: String, tensor: Tensor)] = optimizer.parameterGroups.flatMap {
            zip($0.names ?? [], $0.parameters).map { ($0, $1) }
        }
        let parallel: DistributedDataParallel = try DistributedDataParallel(model, parameters: named, group: group)
        var losses: [Double] = []
        for step in 0..<steps {
            let (value, gradients) = try parallel.valueAndGradients { model.loss(batch(step, part: group.rank, of: group.worldSize)) }
            optimizer.step(gradients)
            try optimizer.synchronize()
            let total: Tensor = value.detached().asType(.float64).reshaped([1]).cloned()
            try group.allReduce(total)
            losses.append(total.item(Double.self) / Double(group.worldSize))
        }
        try parallel.checkReplicas()
        return outcome(model, losses, try optimizer.gatheredState().tensors, optimizer.stateByteCount)
    }

    private static func groups(_ model: Module) -> [ParameterGroup] { .decayingMatricesOnly(model.namedParameters()) }

    private static func outcome(_ model: Module, _ losses: [Double], _ state: [String: Tensor], _ bytes: Int) -> Outcome {
        Outcome(
            parameters: model.parameters().flatMap { $0.detached().array(Float.self) }, losses: losses,
            state: state.mapValues { $0.asType(.float32).array(Float.self) }, bytes: bytes)
    }

    /// Losses, parameters and the whole state, the fallback's parameters included.
    private func compare<Rule: UpdateRule>(_ rule: Rule) throws {
        let one: Outcome = try Self.alone(rule, parts: 4)
        let ranks: [Outcome] = try ProcessGroup.onThreads(4, timeout: 20) { try Self.onRank(rule, $0) }
        for rank in ranks {
            #expect(zip(rank.losses, one.losses).allSatisfy { abs($0 - $1) <= 1e-4 } && rank.losses.count == Self.steps)
            #expect(zip(rank.parameters, one.parameters).allSatisfy { abs($0 - $1) <= 1e-4 })
            #expect(rank.state.keys.sorted() == one.state.keys.sorted())
            #expect(rank.bytes < one.bytes)
        }
        #expect(ranks.map(\.bytes).reduce(0, +) == one.bytes)
        #expect(one.losses[Self.steps - 1] < one.losses[0])
    }

    @Test("LAMB on four ranks is LAMB with four accumulated parts") func lamb() throws {
        try compare(try LAMBConfiguration(learningRate: 0.05))
    }

    @Test("DCT-AdamW: each layer is updated by its owner") func dctAdamW() throws {
        try compare(try DCTAdamWConfiguration(learningRate: 0.02, rank: 3, errorFeedback: .full))
    }
}
