import Efficiency
import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// One family trained alike on several meshes and on one process.
struct RedcoParity {
    let setting: RedcoSetting
    let family: RedcoFamily
    /// Rows of `length + 1` tokens.
    let rows: [[Int32]]
    let seed: UInt64
    let launch: RedcoRanks

    /// What a rank of a mesh saw.
    struct Outcome: Codable, Sendable {
        var losses: [Double] = []
        /// Bytes of this rank's parameters and optimizer state.
        var bytes: Int = 0
        /// The likeliest tokens of the held-out rows by the weights of one process.
        var predictions: [[Int]] = []
        /// Weights of the whole model after training; of one process only.
        var weights: [String: [Float]] = [:]
        /// Sums and joins between the ranks of a copy in a block.
        var forward: Double = 0
        var backward: Double = 0
        /// Bytes that a rank sent in a step to the ranks of its copy and to the other copies.
        var modelStats: CommStats = CommStats()
        var dataStats: CommStats = CommStats()
        var seconds: Double = 0
    }

    private static func collate(_ rows: [[Int32]]) -> Tensor { Tensor(rows.flatMap(\.self), [rows.count, rows[0].count], dtype: .int64) }

    /// Trains on a mesh; with `weights` predictions are made by these and not by what was trained.
    func run(on mesh: Mesh, weights: [String: [Float]]? = nil) throws -> [Outcome] {
        let parity: RedcoParity = self
        return try launch.run(mesh.worldSize) { group in
            let deployer: Deployer = try Deployer(mesh: mesh, group: group, seed: parity.seed)
            return try parity.train(deployer, weights: weights)
        }
    }

    /// The numbers that a run is made of.
    enum Arithmetic: Sendable {
        case float32
        /// In which 30 steps leave no rounding to be seen, so that what is left is a fault.
        case float64
        /// float32 from weights that are a rounding error off: how far rounding alone takes the losses.
        case nudged
    }

    /// Losses of the steps on a mesh.
    func losses(on mesh: Mesh, _ arithmetic: Arithmetic) throws -> [Double] {
        let parity: RedcoParity = self
        return try launch.run(mesh.worldSize) { group in
            let deployer: Deployer = try Deployer(mesh: mesh, group: group, seed: parity.seed)
            return try parity.fit(try parity.trainer(deployer, arithmetic).trainer)
        }[0]
    }

    private typealias FamilyTrainer = DistributedTrainer<Module, [Int32], Tensor>

    private func trainer(_ deployer: Deployer, _ arithmetic: Arithmetic) throws -> (trainer: FamilyTrainer, layout: ShardLayout) {
        let model: Module = try family.make(setting.layers, seed)
        switch arithmetic {
        case .float32: break
        case .float64: model.to(dtype: .float64)
        case .nudged: Self.nudge(model, seed)
        }
        let layout: ShardLayout = try divide(model, deployer)
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.namedParameters()),
            configuration: AdamWConfiguration(learningRate: 3e-3, beta1: 0.9, beta2: 0.95, weightDecay: 0.01))
        let family: RedcoFamily = family
        let trainer: FamilyTrainer = DistributedTrainer(
            deployer, model: model, layout: layout, optimizer: optimizer,
            schedule: .inverseSquareRoot(warmUp: 50),
            clipNorm: 1,
            collate: Self.collate, loss: { model, rows, _, _ in family.loss(model, rows) })
        return (trainer, layout)
    }

    /// Moves every weight by the last bit of a float32, up or down by chance.
    private static func nudge(_ model: Module, _ seed: UInt64) {
        let random: RandomGenerator = RandomGenerator(seed: seed &+ 1, device: .cpu)
        noGrad {
            for weight in model.parameters() {
                let signs: Tensor = Tensor.uniform(weight.shape, generator: random) * 2 - 1
                weight.add_(weight * signs.sign() * 0x1p-23)
            }
        }
    }

    @discardableResult
    private func fit(_ trainer: FamilyTrainer) throws -> [Double] {
        try trainer.fit(
            rows, epochs: Int.max / rows.count, perDevice: setting.rows / trainer.deployer.mesh.dp, steps: setting.steps)
    }

    private func train(_ deployer: Deployer, weights: [String: [Float]]?) throws -> Outcome {
        var outcome: Outcome = Outcome()
        let (trainer, layout): (FamilyTrainer, ShardLayout) = try trainer(deployer, .float32)
        let (model, optimizer): (Module, any Optimizer) = (trainer.model, trainer.optimizer)
        deployer.groups.model.resetStats()
        deployer.groups.data.resetStats()
        let started: ContinuousClock.Instant = .now
        outcome.losses = try fit(trainer)
        outcome.seconds = (ContinuousClock.now - started) / .seconds(setting.steps)
        outcome.modelStats = deployer.groups.model.stats
        outcome.dataStats = deployer.groups.data.stats
        outcome.bytes = model.parameters().reduce(0) { $0 + $1.byteCount } + optimizer.stateByteCount
        let whole: [String: [Float]]
        if let weights { whole = weights } else { whole = try layout.wholeState(of: model).mapValues { $0.flattened().array(Float.self) } }
        outcome.predictions = try predictions(deployer, by: whole)
        if deployer.mesh.worldSize == 1 { outcome.weights = whole }
        if deployer.mesh.mp > 1 { (outcome.forward, outcome.backward) = try collectivesOfABlock(deployer) }
        return outcome
    }

    private func divide(_ model: Module, _ deployer: Deployer) throws -> ShardLayout {
        let probe: Tensor = Self.collate(Array(rows.prefix(2)))
        let family: RedcoFamily = family
        return try deployer.shard(model, probe: family.needsProbe ? { family.read(model, probe).logits } : nil)
    }

    /// Through the predictor, of rows that do not fill its batches.
    private func predictions(_ deployer: Deployer, by weights: [String: [Float]]) throws -> [[Int]] {
        let model: Module = try family.make(setting.layers, seed)
        let shapes: [String: [Int]] = Dictionary(uniqueKeysWithValues: model.stateTensors().map { ($0.0, $0.1.shape) })
        let layout: ShardLayout = try divide(model, deployer)
        var state: [String: Tensor] = [:]
        for (name, values) in weights { state[name] = Tensor(values, shapes[name] ?? [values.count]) }
        try layout.load(state, into: model)
        let family: RedcoFamily = family
        let predictor: Predictor<Module, [Int32], Tensor, [Int]> = Predictor(
            deployer, model: model, collate: Self.collate,
            predict: { model, rows, _ in
                family.read(model, rows).logits.argMax(axis: -1).unbound(axis: 0).map { $0.array(Int64.self).map(Int.init) }
            })
        return try predictor(Array(rows.prefix(setting.predicted)), perDevice: 4)
    }

    /// What one more pair of layers costs, half of it: tables and heads do not count.
    private func collectivesOfABlock(_ deployer: Deployer) throws -> (forward: Double, backward: Double) {
        let counts: [(Double, Double)] = try [2, 4].map { layers in
            let model: Module = try family.make(layers, seed)
            _ = try divide(model, deployer)
            return try Self.collectives(of: model, family, Self.collate(Array(rows.prefix(1))), deployer.groups.model)
        }
        return ((counts[1].0 - counts[0].0) / 2, (counts[1].1 - counts[0].1) / 2)
    }

    private static func collectives(
        of model: Module, _ family: RedcoFamily, _ rows: Tensor, _ group: ProcessGroup
    ) throws -> (forward: Double, backward: Double) {
        group.resetStats()
        return try withTorchErrors {
            let loss: Tensor = family.loss(model, rows)
            let forward: Int = group.stats.operations
            _ = gradients(of: [loss], withRespectTo: model.trainableParameters())
            return (Double(forward), Double(group.stats.operations - forward))
        }
    }

    /// Collectives of a block where the channels are joined after every layer, as without a probe they are in a family that says nothing.
    func joinedEverywhere() throws -> (forward: Double, backward: Double) {
        let family: RedcoFamily = RedcoFamily(name: family.name, make: family.make, read: family.read, needsProbe: false)
        let parity: RedcoParity = RedcoParity(setting: setting, family: family, rows: rows, seed: seed, launch: launch)
        let counts: [[Double]] = try launch.run(RedcoSetting.ranks) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 1, mp: RedcoSetting.ranks), group: group)
            let found: (forward: Double, backward: Double) = try parity.collectivesOfABlock(deployer)
            return [found.forward, found.backward]
        }
        return (counts[0][0], counts[0][1])
    }
}

/// The ranks of the experiment: threads of this process, or the processes of a launcher that started as many.
struct RedcoRanks: Sendable {
    /// The launcher's group.
    private let launched: ProcessGroup?

    init() throws {
        launched = try LaunchEnvironment()?.worldSize == RedcoSetting.ranks ? try .fromEnvironment() : nil
    }

    /// Runs `body` on a number of ranks; the results are known to every process.
    func run<Result: Codable & Sendable>(_ count: Int, _ body: @escaping @Sendable (ProcessGroup) throws -> Result) throws -> [Result] {
        guard let launched, count == launched.worldSize else { return try ProcessGroup.onThreads(count, timeout: 300, body) }
        return try launched.allGather(value: try body(launched))
    }
}
