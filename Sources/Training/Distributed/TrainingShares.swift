import NN
import Optim
import Torch

/// What the ranks of a ``Trainer`` that share one copy of a model do together.
struct TrainingShares {
    let division: any ModelDivision
    private let names: [String]
    private let shapes: [String: [Int]]

    /// Nil for a model that is not divided.
    init?(_ division: (any ModelDivision)?, parameters: [(name: String, tensor: Tensor)]) {
        guard let division, division.group.worldSize > 1 else { return nil }
        self.division = division
        names = parameters.map(\.name)
        shapes = Dictionary(parameters.map { ($0.name, $0.tensor.shape) }) { first, _ in first }
    }

    /// What one copy's ranks agree on, beside the loss that they all have.
    func agree(_ own: TrainingReplicas.Agreement) throws -> TrainingReplicas.Agreement {
        let flags: Tensor = Tensor([own.stops ? 1.0 : 0, own.saves ? 1 : 0], device: .cpu)
        try division.group.allReduce(flags, .maximum)
        let agreed: [Double] = flags.array(Double.self)
        return TrainingReplicas.Agreement(loss: own.loss, stops: agreed[0] > 0, saves: agreed[1] > 0)
    }

    /// Gradients with the shares of all ranks in them, limited to a global norm, and the norm before.
    func limited(_ gradients: [Tensor?], to most: Double?) throws -> (gradients: [Tensor?], norm: Double) {
        try division.sumShares(of: gradients, named: names)
        let norm: Double = try division.norm(of: gradients, named: names)
        return (most.map { clipped(gradients, ofNorm: norm, to: $0) } ?? gradients, norm)
    }

    // MARK: Checkpoints

    /// The state of optimizer and average, below `optimizer.` and `average.`, as it would be of the undivided model; all ranks have to call.
    func whole(_ training: [String: Tensor]) throws -> [String: Tensor] {
        try Self.below(["optimizer.", "average."], training) { try division.wholeState($0, shapes: shapes) }
    }

    /// A checkpoint's training state with this rank's pieces in the place of whole tensors.
    func pieces(of checkpoint: Checkpoint) throws -> [String: Tensor] {
        let wholeShapes: [String: [Int]] = checkpoint.model.mapValues(\.shape)
        return try Self.below(["optimizer.", "average."], checkpoint.training) { try division.pieces(of: $0, shapes: wholeShapes) }
    }

    /// The same tensors, those below some prefixes converted.
    private static func below(
        _ prefixes: [String], _ tensors: [String: Tensor], _ convert: ([String: Tensor]) throws -> [String: Tensor]
    ) rethrows -> [String: Tensor] {
        var result: [String: Tensor] = tensors
        for prefix in prefixes {
            for (name, tensor) in try convert(tensors.below(prefix)) { result[prefix + name] = tensor }
        }
        return result
    }

    /// Checks that what every rank holds whole is the same on all.
    func checkReplicas(of model: Module) throws {
        let shared: [Tensor] = model.namedParameters().filter { !division.isDivided($0.name) }.map(\.tensor)
        if try division.group.holdsSame(shared) { return }
        throw DistributedError.replicasDiffer(rank: division.group.rank)
    }
}
