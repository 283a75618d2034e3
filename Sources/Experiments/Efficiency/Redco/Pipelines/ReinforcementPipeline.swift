import Efficiency
import Foundation
import NN
import Optim
import Torch
import Training

/// Proximal policy optimisation (arXiv 1707.06347) on a cart-pole in three functions; what is played between the fits is shared among the copies.
enum ReinforcementPipeline {
    struct Move: Codable, Sendable {
        let state: [Float]
        let action: Int64
        /// Logarithm of the action's probability when it was chosen.
        let logProbability: Float
        var advantage: Float = 0
        /// The value that is to be learnt.
        var wanted: Float = 0
    }

    struct Batch {
        let states, actions, logProbabilities, advantages, wanted: Tensor
    }

    /// Logits of the two actions and the state's value.
    final class ActorCritic: Module {
        @ModuleInfo var hidden: Linear
        @ModuleInfo var policy: Linear
        @ModuleInfo var value: Linear

        init(seed: UInt64) {
            super.init()
            (hidden, policy, value) = (Linear(4, 64), Linear(64, 2), Linear(64, 1))
            initializeNormal(standardDeviation: 0.3, generator: RandomGenerator(seed: seed, device: .cpu))
        }

        func callAsFunction(_ states: Tensor) -> (logits: Tensor, value: Tensor) {
            let features: Tensor = hidden(states).tanh()
            return (policy(features), value(features).squeezed(axis: 1))
        }
    }

    static func collate(_ moves: [Move]) -> Batch {
        func column(_ value: (Move) -> Float) -> Tensor { Tensor(moves.map(value), [moves.count]) }
        return Batch(
            states: Tensor(moves.flatMap(\.state), [moves.count, 4]),
            actions: Tensor(moves.map(\.action), [moves.count, 1], dtype: .int64),
            logProbabilities: column(\.logProbability), advantages: column(\.advantage), wanted: column(\.wanted))
    }

    static func loss(_ model: ActorCritic, _ batch: Batch, _ training: Bool, _ random: RandomGenerator) -> Tensor {
        let (logits, value): (Tensor, Tensor) = model(batch.states)
        let all: Tensor = logits.logSoftmax()
        let ratio: Tensor = (all.gather(axis: 1, indices: batch.actions).squeezed(axis: 1) - batch.logProbabilities).exp()
        let gain: Tensor = minimum(ratio * batch.advantages, ratio.clamped(0.8, 1.2) * batch.advantages).mean()
        let entropy: Tensor = -(all.exp() * all).sum(axis: 1).mean()
        return 0.5 * meanSquaredError(value, batch.wanted) - gain - 0.01 * entropy
    }

    /// Steps that the pole stands when the likelier action is taken, from starts of these seeds.
    static func predict(_ model: ActorCritic, _ seeds: [UInt64], _ random: RandomGenerator) -> [Int] {
        seeds.map { seed in
            var start: SplitMix64 = SplitMix64(seed: seed)
            var game: CartPole = CartPole(&start)
            while !game.step(model(Tensor(game.state, [1, 4])).logits.argMax(axis: 1).item(Int.self)).ended {}
            return game.steps
        }
    }

    /// Plays 256 moves and rates them by generalised advantages (arXiv 1506.02438).
    private static func play(_ model: ActorCritic, _ random: inout SplitMix64) -> [Move] {
        var game: CartPole = CartPole(&random)
        var moves: [Move] = []
        var ends: [(ended: Bool, fell: Bool)] = []
        var values: [Float] = []
        for _ in 0..<256 {
            let (logits, value): (Tensor, Tensor) = noGrad { model(Tensor(game.state, [1, 4])) }
            let logs: [Float] = logits.logSoftmax().flattened().array(Float.self)
            let action: Int = Float(Double(random.next() >> 11) / Double(1 << 53)) < exp(logs[0]) ? 0 : 1
            moves.append(Move(state: game.state, action: Int64(action), logProbability: logs[action]))
            values.append(value.item(Float.self))
            ends.append(game.step(action))
            if ends[ends.count - 1].ended { game = CartPole(&random) }
        }
        values.append(noGrad { model(Tensor(game.state, [1, 4])).value }.item(Float.self))
        var running: Float = 0
        for place in moves.indices.reversed() {
            let next: Float = ends[place].ended ? (ends[place].fell ? 0 : values[place]) : values[place + 1]
            running = 1 + 0.99 * next - values[place] + (ends[place].ended ? 0 : 0.99 * 0.95 * running)
            (moves[place].advantage, moves[place].wanted) = (running, running + values[place])
        }
        return moves
    }

    static func run(_ deployer: Deployer, rounds: Int) throws -> PipelineOutcome {
        let model: ActorCritic = ActorCritic(seed: deployer.seed)
        let optimizer: Adam = try Adam(parameters: model.parameters(), configuration: AdamConfiguration(learningRate: 3e-3))
        let trainer: DistributedTrainer<ActorCritic, Move, Batch> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, clipNorm: 0.5, collate: collate, loss: loss)
        var random: SplitMix64 = SplitMix64(seed: deployer.copySeed(stream: 9))
        var losses: [Double] = []
        for _ in 0..<rounds {
            let moves: [Move] = try deployer.groups.data.allGather(value: play(model, &random)).flatMap(\.self)
            losses += try trainer.fit(moves, epochs: 4, perDevice: 64)
        }
        let seeds: [UInt64] = (100..<110).map { $0 }
        let stood: [Int] = try Predictor(deployer, model: model, collate: { $0 }, predict: predict)(seeds, perDevice: 2)
        return PipelineOutcome(losses: losses, score: Double(stood.reduce(0, +)) / Double(stood.count))
    }
}
