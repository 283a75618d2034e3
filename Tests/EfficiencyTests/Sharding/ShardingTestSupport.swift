import NN
import Optim
import SequenceModels
import Testing
import Torch
import Training

@testable import Efficiency

/// Weights large enough that every part of a model matters, the same wherever they are made.
func shardRandomized<Model: Module>(_ model: Model, seed: UInt64 = 2, dtype: DType = .float64) -> Model {
    let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
    for (_, parameter) in model.namedParameters() {
        Initializer.normal(mean: parameter.ndim == 1 ? 0.5 : 0, standardDeviation: 0.3).fill(parameter, generator: generator)
    }
    model.to(dtype: dtype)
    return model
}

/// Token ids that every rank draws alike.
func shardTokens(_ rows: Int = 2, _ length: Int = 6, vocabulary: Int = 16) -> Tensor {
    .randomIntegers([rows, length], high: vocabulary, generator: RandomGenerator(seed: 5, device: .cpu))
}

func shardNumbers(_ shape: [Int], seed: UInt64 = 3, dtype: DType = .float64) -> Tensor {
    .normal(shape, dtype: dtype, generator: RandomGenerator(seed: seed, device: .cpu))
}

/// Largest difference relative to the largest wanted element, or to `least` where that is more.
func shardDeviation(_ found: Tensor, _ wanted: Tensor, least: Double = 1e-30) -> Double {
    precondition(found.shape == wanted.shape, "shapes \(found.shape) and \(wanted.shape)")
    return (found - wanted).abs().max().item(Double.self) / max(wanted.abs().max().item(Double.self), least)
}

/// How a divided model compares with the whole one on one rank.
struct ShardComparison: Sendable {
    var outputs: Double = 0
    var gradients: Double = 0
    var localPairs: [String] = []
    var joinedPairs: [String] = []
    var partial: Set<String> = []
    var forwardCollectives: Int = 0
    var backwardCollectives: Int = 0
    var bytes: Int = 0
    var wholeBytes: Int = 0

    /// Outputs and all gradients, put together from the ranks' pieces, of a model and of the same model divided.
    static func compare<Model: Module>(
        _ mp: Int, probing: Bool = false, make: @escaping @Sendable () throws -> Model,
        outputs: @escaping @Sendable (Model) throws -> Tensor
    ) throws -> [ShardComparison] {
        try ProcessGroup.onThreads(mp) { group in
            let whole: Model = try make()
            let wanted: Tensor = try outputs(whole)
            let weights: Tensor = shardNumbers(wanted.shape, seed: 11, dtype: wanted.dtype)
            let wantedGradients: [Tensor] = Torch.gradients(of: [(wanted * weights).sum()], withRespectTo: whole.parameters())
            // Some gradients are zero but for rounding, as those of a bias of keys are.
            let least: Double = 1e-3 * (wantedGradients.map { $0.abs().max().item(Double.self) }.max() ?? 0)
            let names: [String] = whole.namedParameters().map(\.name)

            let model: Model = try make()
            let layout: ShardLayout = try AutoShard.apply(model, over: group, probe: probing ? { try outputs(model) } : nil)
            var result: ShardComparison = ShardComparison()
            group.resetStats()
            let found: Tensor = try outputs(model)
            result.forwardCollectives = group.stats.operations
            let foundGradients: [Tensor] = Torch.gradients(of: [(found * weights).sum()], withRespectTo: model.parameters())
            result.backwardCollectives = group.stats.operations - result.forwardCollectives
            result.outputs = shardDeviation(found, wanted)
            #expect(model.namedParameters().map(\.name) == names)
            for ((name, gradient), wanted) in zip(zip(names, foundGradients), wantedGradients) {
                let own: Tensor = gradient.detached().cloned().contiguous()
                if layout.partialParameters.contains(name) { try group.allReduce(own, .sum) }
                result.gradients = max(result.gradients, shardDeviation(try layout.whole(own, named: name), wanted, least: least))
            }
            (result.localPairs, result.joinedPairs, result.partial) = (layout.localPairs, layout.joinedPairs, layout.partialParameters)
            result.bytes = model.parameters().reduce(0) { $0 + $1.byteCount }
            result.wholeBytes = whole.parameters().reduce(0) { $0 + $1.byteCount }
            return result
        }
    }
}
