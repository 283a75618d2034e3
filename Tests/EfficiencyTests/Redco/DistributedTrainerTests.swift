import Foundation
import NN
import Optim
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct DistributedTrainerTests {
    private static func makeModel() throws -> PlainTransformer {
        shardRandomized(
            PlainTransformer(try PlainTransformerConfiguration(vocabularySize: 16, dimensions: 16, layers: 1, heads: 4, maximumContext: 8)))
    }

    private static let examples: [[Int64]] = (0..<21).map { row in (0..<7).map { Int64((row * 5 + $0 * $0) % 16) } }

    private static func collate(_ rows: [[Int64]]) -> Tensor { Tensor(rows.flatMap(\.self), [rows.count, 7], dtype: .int64) }

    private static func loss(_ model: PlainTransformer, _ batch: Tensor, _ training: Bool, _ generator: RandomGenerator) -> Tensor {
        let logits: Tensor = model(batch.narrowed(axis: 1, start: 0, length: 6))
        return crossEntropy(logits.flattened(from: 0, to: 1), batch.narrowed(axis: 1, start: 1, length: 6).flattened())
    }

    private struct Run: Sendable {
        var losses: [Double] = []
        var state: [String: [Double]] = [:]
        var evaluation: Double = 0
    }

    private typealias TokenTrainer = DistributedTrainer<PlainTransformer, [Int64], Tensor>

    private static func adamW() throws -> OptimizerConfiguration { .adamw(try AdamWConfiguration(learningRate: 0.01)) }

    /// - Parameter zero: whether the optimizer's state is spread over the copies.
    private static func trainer(
        _ deployer: Deployer, accumulation: Int = 1, clipNorm: Double? = nil, zero: Bool, schedule: Schedule = .constant,
        rule: OptimizerConfiguration? = nil
    ) throws -> (trainer: TokenTrainer, layout: ShardLayout) {
        let model: PlainTransformer = try makeModel()
        let layout: ShardLayout = try deployer.shard(model)
        let groups: [ParameterGroup] = .decayingMatricesOnly(model.namedParameters())
        let outlet: TrainingOutlet = TrainingOutlet(group: deployer.groups.data, shardsState: zero)
        let optimizer: any Optimizer = try outlet.optimizer(groups, try rule ?? adamW())
        let trainer: TokenTrainer = DistributedTrainer(
            deployer, model: model, layout: layout, optimizer: optimizer, schedule: schedule, accumulation: accumulation,
            clipNorm: clipNorm, collate: collate, loss: loss)
        return (trainer, layout)
    }

    private static func train(
        _ mesh: Mesh, accumulation: Int = 1, clipNorm: Double? = nil, perDevice: Int = 2, zero: Bool = false,
        rule: OptimizerConfiguration? = nil
    ) throws -> [Run] {
        try ProcessGroup.onThreads(mesh.worldSize) { group in
            let deployer: Deployer = try Deployer(mesh: mesh, group: group, seed: 4)
            let (trainer, layout): (TokenTrainer, ShardLayout) = try trainer(
                deployer, accumulation: accumulation, clipNorm: clipNorm, zero: zero, schedule: .warmUpCosine(warmUp: 1), rule: rule)
            var run: Run = Run()
            run.losses = try trainer.fit(examples, epochs: 2, perDevice: perDevice)
            run.state = try layout.wholeState(of: trainer.model).mapValues { $0.flattened().array(Double.self) }
            run.evaluation = try trainer.evaluate(examples, perDevice: perDevice)
            return run
        }
    }

    private static func expectEqual(_ runs: [Run], _ wanted: Run) {
        for run in runs {
            #expect(zip(run.losses, wanted.losses).allSatisfy { abs($0 - $1) < 1e-9 } && run.losses.count == wanted.losses.count)
            #expect(abs(run.evaluation - wanted.evaluation) < 1e-9)
            for (name, values) in wanted.state {
                #expect(zip(values, run.state[name] ?? []).allSatisfy { abs($0 - $1) < 1e-8 } && run.state[name]?.count == values.count)
            }
        }
    }

    /// Eight examples a step, on any mesh, at once or in parts: the same losses, the same weights, the same mean of 21 examples.
    @Test func everyMeshTrainsAlike() throws {
        let whole: Run = try Self.train(Mesh(dp: 1, mp: 1), perDevice: 8)[0]
        #expect(whole.losses.count == 4)
        #expect(whole.losses[3] < whole.losses[0])
        Self.expectEqual(try Self.train(Mesh(dp: 1, mp: 1), accumulation: 4), whole)
        Self.expectEqual(try Self.train(Mesh(dp: 4, mp: 1)), whole)
        Self.expectEqual(try Self.train(Mesh(dp: 2, mp: 2), perDevice: 4), whole)
        Self.expectEqual(try Self.train(Mesh(dp: 1, mp: 4), perDevice: 8), whole)
        Self.expectEqual(try Self.train(Mesh(dp: 2, mp: 2), accumulation: 2), whole)
    }

    /// With the optimizer's state spread over the copies the numbers are the same, and a rank holds its part of the bytes.
    @Test func spreadStateTrainsAlike() throws {
        let whole: Run = try Self.train(Mesh(dp: 1, mp: 1), clipNorm: 0.05, perDevice: 8)[0]
        Self.expectEqual(try Self.train(Mesh(dp: 4, mp: 1), clipNorm: 0.05, zero: true), whole)
        Self.expectEqual(try Self.train(Mesh(dp: 2, mp: 2), clipNorm: 0.05, perDevice: 4, zero: true), whole)
        let bytes: [Int] = try ProcessGroup.onThreads(2) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 1), group: group)
            let counts: [Int] = try [false, true].map { zero in
                let made: TokenTrainer = try Self.trainer(deployer, zero: zero).trainer
                try made.fit(Self.examples, perDevice: 4, steps: 1)
                return made.optimizer.stateByteCount
            }
            return counts[1] * 100 / counts[0]
        }
        #expect(bytes.allSatisfy { (30...70).contains($0) } && bytes.reduce(0, +) >= 99, "\(bytes)")
    }

    /// Rules that scale a step by the norm of a matrix see the norm of all pieces; those that look at a whole matrix otherwise are refused.
    @Test func layerwiseRulesSeeWholeNorms() throws {
        let rules: [OptimizerConfiguration] = [
            .lamb(try LAMBConfiguration(learningRate: 0.02)), .lars(try LARSConfiguration(learningRate: 0.1)),
            .lars(try LARSConfiguration(learningRate: 1, trustCoefficient: 0.1)),
        ]
        for rule in rules {
            let whole: Run = try Self.train(Mesh(dp: 1, mp: 1), perDevice: 8, rule: rule)[0]
            #expect(abs(whole.losses[3] - whole.losses[0]) > 1e-4)
            Self.expectEqual(try Self.train(Mesh(dp: 1, mp: 2), perDevice: 8, rule: rule), whole)
            Self.expectEqual(try Self.train(Mesh(dp: 2, mp: 2), perDevice: 4, zero: true, rule: rule), whole)
        }
        let galore: OptimizerConfiguration = .galore(try GaLoreConfiguration(rank: 2))
        #expect(throws: ConfigurationError.self) { try Self.train(Mesh(dp: 1, mp: 2), perDevice: 8, rule: galore) }
    }

    /// A checkpoint of four ranks whose state is spread is read by any mesh, spread or not; LAMB's has a number beside its moments.
    @Test(arguments: [false, true]) func spreadStateMovesBetweenMeshes(lamb: Bool) throws {
        let rule: OptimizerConfiguration = lamb ? .lamb(try LAMBConfiguration(learningRate: 0.02)) : try Self.adamW()
        try TestPaths.withTemporaryFolder { folder in
            @Sendable func run(_ mesh: Mesh, zero: Bool, steps: Int, saves: Bool) throws -> [Run] {
                try ProcessGroup.onThreads(mesh.worldSize) { group in
                    let deployer: Deployer = try Deployer(mesh: mesh, group: group, seed: 4, workFolder: folder)
                    let (trainer, layout): (TokenTrainer, ShardLayout) = try Self.trainer(deployer, zero: zero, rule: rule)
                    if !saves { try trainer.restore() }
                    var run: Run = Run()
                    run.losses = try trainer.fit(Self.examples, epochs: 2, perDevice: 8 / mesh.dp, steps: steps)
                    if saves { try trainer.save() }
                    run.state = try layout.wholeState(of: trainer.model).mapValues { $0.flattened().array(Double.self) }
                    return run
                }
            }
            let alone: Mesh = Mesh(dp: 1, mp: 1)
            let whole: Run = try ProcessGroup.onThreads(1) { group in
                let (trainer, layout): (TokenTrainer, ShardLayout) = try Self.trainer(
                    try Deployer(mesh: alone, group: group, seed: 4), zero: false, rule: rule)
                var run: Run = Run()
                run.losses = Array(try trainer.fit(Self.examples, epochs: 2, perDevice: 8).suffix(2))
                run.state = try layout.wholeState(of: trainer.model).mapValues { $0.flattened().array(Double.self) }
                return run
            }[0]
            _ = try run(Mesh(dp: 2, mp: 2), zero: true, steps: 2, saves: true)
            for (mesh, zero) in [(Mesh(dp: 2, mp: 2), true), (Mesh(dp: 4, mp: 1), true), (Mesh(dp: 1, mp: 2), false), (alone, false)] {
                Self.expectEqual(try run(mesh, zero: zero, steps: 4, saves: false), whole)
            }
        }
    }

    /// The norm is that of the whole model: shares summed over a copy's ranks, the rest counted once.
    @Test func clippingSeesTheWholeNorm() throws {
        let whole: Run = try Self.train(Mesh(dp: 1, mp: 1), clipNorm: 0.05, perDevice: 8)[0]
        Self.expectEqual(try Self.train(Mesh(dp: 2, mp: 2), clipNorm: 0.05, perDevice: 4), whole)
        let free: Run = try Self.train(Mesh(dp: 1, mp: 1), perDevice: 8)[0]
        #expect(abs(free.losses[3] - whole.losses[3]) > 1e-6)
    }

    /// Ranks of one copy draw the same masks, since they hold the same activations; copies draw others.
    @Test func seedsOfRanks() throws {
        let drawn: [[UInt64]] = try ProcessGroup.onThreads(4) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 2), group: group, seed: 9)
            return (0..<3).map { deployer.copySeed(stream: $0) }
        }
        #expect(drawn[0] == drawn[1])
        #expect(drawn[2] == drawn[3])
        #expect(Set(drawn[0] + drawn[2]).count == 6)
        let masks: [[Double]] = try ProcessGroup.onThreads(4) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 2), group: group, seed: 9)
            return Tensor.bernoulli([64], probability: 0.5, generator: deployer.generator()).array(Float.self).map(Double.init)
        }
        #expect(masks[0] == masks[1] && masks[2] == masks[3] && masks[0] != masks[2])
    }

    @Test func batchArithmetic() throws {
        let deployer: Deployer = try Deployer()
        #expect(deployer.globalBatch(perDevice: 3, accumulation: 4) == 12)
        #expect(try deployer.accumulation(globalBatch: 12, perDevice: 3) == 4)
        #expect(throws: ShardingError.self) { try deployer.accumulation(globalBatch: 13, perDevice: 3) }
        #expect(throws: ShardingError.self) { try Deployer(mesh: Mesh(dp: 2, mp: 1)) }
        #expect(throws: ShardingError.self) { try deployer.checkpoints() }
        let mesh: Mesh = Mesh(dp: 2, mp: 3)
        // A copy's ranks follow each other, so that they stay inside one machine.
        #expect((0..<6).map { mesh.place(of: $0).dp } == [0, 0, 0, 1, 1, 1])
        #expect((0..<6).map { mesh.place(of: $0).mp } == [0, 1, 2, 0, 1, 2])
    }

    /// A rank that fails while the others wait for it ends them all within the group's timeout.
    @Test func oneFailingRankAbortsAll() throws {
        struct Failure: Error {}
        let started: Date = Date()
        #expect(throws: Failure.self) {
            _ = try ProcessGroup.onThreads(4, timeout: 3) { group in
                let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 2), group: group)
                let model: PlainTransformer = try Self.makeModel()
                let layout: ShardLayout = try deployer.shard(model)
                let trainer: DistributedTrainer<PlainTransformer, [Int64], Tensor> = DistributedTrainer(
                    deployer, model: model, layout: layout,
                    optimizer: try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration()), collate: Self.collate,
                    loss: { model, batch, training, generator in
                        if group.rank == 3 { throw Failure() }
                        return Self.loss(model, batch, training, generator)
                    })
                return try trainer.fit(Self.examples, perDevice: 2)
            }
        }
        #expect(Date().timeIntervalSince(started) < 20)
    }

    @Test func ranksThatDisagreeAreToldSo() throws {
        #expect(throws: ShardingError.self) {
            _ = try ProcessGroup.onThreads(2) { group in
                let trainer: DistributedTrainer<Linear, Double, Tensor> = try Self.regression(Mesh(dp: 2, mp: 1), group)
                return try trainer.fit(Array(repeating: 1, count: 4 + 4 * group.rank), perDevice: 1)
            }
        }
        #expect(throws: ShardingError.self) { try Self.regression(Mesh(dp: 1, mp: 1), .single).fit([1], perDevice: 2) }
        // Replicas that drifted apart are found at the end of the epoch.
        #expect(throws: ShardingError.self) {
            _ = try ProcessGroup.onThreads(2) { group in
                let trainer: DistributedTrainer<Linear, Double, Tensor> = try Self.regression(Mesh(dp: 2, mp: 1), group)
                noGrad { trainer.model.weight.fill_(1 + 1e-12 * Double(group.rank)) }
                return try trainer.fit([1, 2], perDevice: 1)
            }
        }
    }

    private static func regression(
        _ mesh: Mesh, _ group: ProcessGroup, folder: URL? = nil
    ) throws -> DistributedTrainer<Linear, Double, Tensor> {
        let deployer: Deployer = try Deployer(mesh: mesh, group: group, workFolder: folder)
        let model: Linear = Linear(weight: Tensor([0.5], [1, 1], dtype: .float64))
        let optimizer: Adam = try Adam(parameters: [model.weight], names: ["weight"], configuration: AdamConfiguration(learningRate: 0.1))
        return DistributedTrainer(
            deployer, model: model, optimizer: optimizer, collate: { Tensor($0, [$0.count, 1], dtype: .float64) },
            loss: { model, batch, _, _ in (model(batch) - batch * 2).square().mean() })
    }

    /// Three steps, a checkpoint, and the rest by another trainer: the weight of six steps at once.
    @Test func continuesFromItsCheckpoint() throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-redco-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let examples: [Double] = [1, 2, 3]
        let whole: DistributedTrainer<Linear, Double, Tensor> = try Self.regression(Mesh(dp: 1, mp: 1), .single)
        try whole.fit(examples, epochs: 2, perDevice: 1)
        let first: DistributedTrainer<Linear, Double, Tensor> = try Self.regression(Mesh(dp: 1, mp: 1), .single, folder: folder)
        #expect(try !first.restore())
        try first.fit(examples, epochs: 1, perDevice: 1)
        try first.save()
        let second: DistributedTrainer<Linear, Double, Tensor> = try Self.regression(Mesh(dp: 1, mp: 1), .single, folder: folder)
        #expect(try second.restore())
        #expect(try second.fit(examples, epochs: 2, perDevice: 1).count == 3)
        #expect(second.model.weight.isEqual(to: whole.model.weight))
        let log: String = try String(contentsOf: folder.appendingPathComponent("log.txt"), encoding: .utf8)
        #expect(log.split(separator: "\n").count == 2)
    }

    /// A step of one's own: the gradients it gives are averaged over the copies like any others.
    @Test func ownSteps() throws {
        let weights: [Double] = try ProcessGroup.onThreads(2) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 1), group: group)
            let model: Linear = Linear(weight: Tensor([0.0], [1, 1], dtype: .float64))
            let trainer: DistributedTrainer<Linear, Double, Tensor> = DistributedTrainer(
                deployer, model: model, optimizer: try SGD(parameters: [model.weight], configuration: SGDConfiguration(learningRate: 1)),
                step: { _, batch, _ in (batch.sum(), [batch.reshaped(1, 1)]) },
                collate: { Tensor($0, [$0.count], dtype: .float64) }, loss: { _, batch, _, _ in batch.sum() })
            try trainer.fit([1, 2], perDevice: 1)
            return model.weight.item(Double.self)
        }
        for weight in weights { #expect(abs(weight + 1.5) < 1e-12) }
    }
}
