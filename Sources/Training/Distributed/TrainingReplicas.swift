import Foundation
import NN
import Optim
import Torch

/// What the ranks of a data-parallel ``Trainer`` do together: average, agree, and keep to the same step.
struct TrainingReplicas {
    let parallel: DistributedDataParallel
    let group: ProcessGroup
    private let seed: UInt64

    /// Nil for a group of one.
    init?(
        _ model: Module, parameters: [(name: String, tensor: Tensor)], group: ProcessGroup, hook: (any GradientExchange)?, seed: UInt64
    ) throws {
        guard group.worldSize > 1 else { return nil }
        self.group = group
        self.seed = seed
        parallel = try DistributedDataParallel(model, parameters: parameters, group: group, hook: hook)
    }

    /// What all ranks know about a step.
    struct Agreement {
        /// Mean over the ranks.
        let loss: Double
        /// Whether one of them was asked to stop.
        let stops: Bool
        /// Whether rank 0 wants a checkpoint.
        let saves: Bool
    }

    func agree(_ own: Agreement) throws -> Agreement {
        let values: Tensor = Tensor([own.loss, own.stops ? 1 : 0, own.saves && group.rank == 0 ? 1 : 0], device: .cpu)
        try group.allReduce(values)
        let sums: [Double] = values.array(Double.self)
        return Agreement(loss: sums[0] / Double(group.worldSize), stops: sums[1] > 0, saves: sums[2] > 0)
    }

    /// After all ranks have read a checkpoint, or none: the same one, and every rank but the first on a random stream of its own, so that dropout
    /// differs between the parts of a batch.
    /// - Parameter checkpoint: the training state that was read; its streams go on if as many ranks have written it.
    func begin(at step: Int, from checkpoint: [String: Tensor]) throws {
        try group.agree(onStart: step)
        try parallel.synchronize()
        if group.rank == 0 { return }
        let stream: RandomGenerator = .shared(on: .cpu)
        if checkpoint[Self.random(group.worldSize)] == nil, checkpoint[Self.random(group.worldSize - 1)] != nil,
            let own = checkpoint[Self.random(group.rank)]
        {
            return try stream.restore(own.cloned())
        }
        stream.seed((seed &+ UInt64(step)) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(group.rank))
    }

    private static func random(_ rank: Int) -> String { "random.rank\(rank)" }

    /// The random streams of the ranks beside the first, by their names in a checkpoint; to be called on all ranks.
    func randomStates() throws -> [String: Tensor] {
        let states: [Tensor] = try group.allGather(RandomGenerator.shared(on: .cpu).state())
        return Dictionary(uniqueKeysWithValues: states.enumerated().dropFirst().map { (Self.random($0), $1) })
    }

    // MARK: The exchange's state

    /// What the exchange of all ranks carries, on rank 0; to be called on all ranks.
    func exchangeState() throws -> [String: Tensor] { try parallel.exchange?.state.gathered(by: group) ?? [:] }

    /// Gives the exchange this rank's part of a checkpoint; one without such a state leaves the exchange as it is.
    func loadExchange(_ state: [String: Tensor]) throws {
        if state.isEmpty { return }
        try parallel.exchange?.load(GradientExchangeState(state, for: group))
    }
}

extension ProcessGroup {
    /// Checks that all ranks begin at one step.
    /// - Throws: ``DistributedError/diverged(rank:detail:)`` on every rank where they do not.
    func agree(onStart step: Int) throws {
        let steps: [Int] = try allGather(Tensor([Int64(step)], device: .cpu)).map { Int($0.item(Int64.self)) }
        if !steps.allSatisfy({ $0 == step }) { throw DistributedError.startsApart(rank: rank, steps: steps) }
    }
}
