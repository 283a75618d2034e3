import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the MemoryFormer experiment at a scale.
struct MemoryFormerSetting {
    var dimensions: Int = 128
    var layers: Int = 4
    var heads: Int = 4
    var bits: Int = 8
    var context: Int = 64
    var rows: Int = 16
    var steps: Int = 1000
    /// Most validation tokens; nil is all.
    var validationLimit: Int?
    /// Codes of other lengths, for the curve of loss against multiply-accumulates.
    var otherBits: [Int] = []

    /// `.small` is the specification's setting with 750 of its 1000 steps, `.full` its setting for a GPU.
    init(_ scale: Scale) {
        switch scale {
        case .smoke: (dimensions, layers, heads, context, rows, steps, validationLimit, otherBits) = (32, 2, 2, 16, 4, 3, 500, [4])
        case .small: (steps, validationLimit) = (750, 40_000)
        case .full: (dimensions, layers, heads, context, steps, otherBits) = (512, 6, 8, 1024, 10_000, [4])
        }
    }

    func configuration(
        vocabularySize: Int, bits: Int? = nil, weighting: MemoryWeighting = .scaledProbability
    ) throws -> MemoryFormerConfiguration {
        try MemoryFormerConfiguration(
            vocabularySize: vocabularySize, dimensions: dimensions, layers: layers, heads: heads, bits: bits ?? self.bits,
            weighting: weighting)
    }

    /// A dense transformer, as wide as the MemoryFormer or otherwise, with rotary positions as it has.
    func dense(vocabularySize: Int, dimensions: Int? = nil) throws -> PlainTransformerConfiguration {
        try PlainTransformerConfiguration(
            vocabularySize: vocabularySize, dimensions: dimensions ?? self.dimensions, layers: layers, heads: heads,
            maximumContext: context, rotary: true)
    }

    /// The width at which a dense transformer's layers cost as much as the MemoryFormer's, rounded to what its heads divide.
    func narrowWidth(costShare: Double) -> Int {
        let unit: Int = 2 * heads
        return max(1, Int((Double(dimensions) * costShare.squareRoot() / Double(unit)).rounded())) * unit
    }
}

/// A map that changes nothing and costs nothing: what is left where a fully connected layer is taken out.
final class IdentityMap: Module, LinearMap {
    let inputDimensions: Int

    init(_ dimensions: Int) {
        inputDimensions = dimensions
        super.init()
    }

    var outputDimensions: Int { inputDimensions }
    var bias: Tensor? { nil }
    var multiplyAccumulates: Int { 0 }

    func denseWeight() -> Tensor { .eye(inputDimensions) }
    func callAsFunction(_ x: Tensor) -> Tensor { x }
}

/// What one seed's models are trained and measured on.
struct MemoryFormerTrial {
    let setting: MemoryFormerSetting
    let seed: UInt64
    let corpus: CharacterCorpus
    let context: ExperimentContext
    let source: TextWindows
    let held: TextWindows

    /// The rates that the specification sets for the two kinds of model.
    private static let denseRate: Double = 2e-3
    private static let memoryRate: Double = 3e-3

    init(_ setting: MemoryFormerSetting, _ corpus: CharacterCorpus, seed: UInt64, context: ExperimentContext) {
        self.setting = setting
        self.seed = seed
        self.corpus = corpus
        self.context = context
        source = TextWindows(corpus.training, context: setting.context, rows: setting.rows, seed: seed)
        held = TextWindows(corpus.validation, context: setting.context, rows: 16, seed: 0)
    }

    /// A trained model, its loss and what it costs.
    struct Outcome<Model: CausalLanguageModel> {
        let model: Model
        let loss: Double
        /// Multiply-accumulates a token in the blocks, without attention's products.
        let cost: Int
        let seconds: Double
        let curve: Measurements.Curve
    }

    private func trained<Model: LayeredLanguageModel>(
        _ name: String, rate: Double, make: () throws -> Model
    ) throws -> Outcome<Model> {
        let training: TrialTraining = TrialTraining(
            steps: setting.steps, learningRate: rate, seed: seed, weightDecay: 0.1, warmUp: setting.steps / 100, finalFraction: 0.01)
        let start: Date = Date()
        let (model, curve) = try training.train(name, on: source, context: context, make: make)
        let seconds: Double = Date().timeIntervalSince(start)
        let cost: Int = model.blockModules.reduce(0) { $0 + CostModel(of: $1).linearMultiplyAccumulates }
        return Outcome(model: model, loss: model.score(held).loss, cost: cost, seconds: seconds, curve: curve)
    }

    func dense(_ name: String, dimensions: Int? = nil) throws -> Outcome<PlainTransformer> {
        try trained(name, rate: Self.denseRate) {
            PlainTransformer(try setting.dense(vocabularySize: corpus.vocabularySize, dimensions: dimensions))
        }
    }

    func memoryFormer(
        _ name: String, bits: Int? = nil, weighting: MemoryWeighting = .scaledProbability, frozenTables: Bool = false
    ) throws -> Outcome<MemoryFormer> {
        try trained(name, rate: Self.memoryRate) {
            let model: MemoryFormer = MemoryFormer(
                try setting.configuration(vocabularySize: corpus.vocabularySize, bits: bits, weighting: weighting))
            if frozenTables { model.freeze { $0.hasSuffix(".tables") } }
            return model
        }
    }

    /// The MemoryFormer's architecture with nothing in the tables' place: identities for queries, keys and values, no feed-forward.
    func withoutLayers(_ name: String) throws -> Outcome<PlainTransformer> {
        try trained(name, rate: Self.memoryRate) {
            let model: PlainTransformer = PlainTransformer(try setting.dense(vocabularySize: corpus.vocabularySize))
            let shape: MemoryFormerConfiguration = try setting.configuration(vocabularySize: corpus.vocabularySize)
            for block in model.blocks {
                let attention: MultiHeadAttention = MultiHeadAttention(
                    AttentionConfiguration(
                        dimensions: shape.dimensions, heads: shape.heads, causal: true, rotaryTheta: 10_000,
                        rotaryDimensions: shape.rotaryDimensions))
                for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                    attention.replaceModule(at: name, with: IdentityMap(shape.dimensions))
                }
                block.mixer = SoftmaxAttention(attention)
                block.feedForward = FunctionLayer { $0.zerosLike() }
            }
            return model
        }
    }

    /// The smallest entropy of a layer's reads on validation text, as a share of its bits.
    func lowestEntropy(_ model: MemoryFormer) -> Double {
        let layers: [(path: String, bits: Int, usage: BucketUsage)] = model.bucketUsage { _ = model.score(held) }
        return layers.map { $0.usage.entropy / Double($0.bits) }.min() ?? .nan
    }

    /// Largest difference between logits of a whole text and those of its tokens one by one. In float64: a rounding error of float32 can flip the sign
    /// of a channel that is nearly 0, and another row is read.
    func stepDisagreement(_ model: MemoryFormer) throws -> Double {
        let precise: MemoryFormer = MemoryFormer(model.configuration)
        try precise.load(Dictionary(uniqueKeysWithValues: model.stateTensors()))
        precise.to(dtype: .float64)
        let tokens: Tensor = source.batch(0).tensors(device: model.device).tokens
        return noGrad {
            var state: LanguageModelState = precise.initialState(batch: tokens.dim(0))
            let steps: [Tensor] = (0..<tokens.dim(1)).map { precise.step(tokens.selected(axis: 1, index: $0), state: &state) }
            return (stacked(steps, axis: 1) - precise(tokens)).abs().max().item(Double.self)
        }
    }

    /// Largest difference between a layer's output and the sum of its weighted rows written out, over the layer's largest output.
    func lookupDisagreement(_ model: MemoryFormer) -> Double {
        guard let layer = (model.blocks[0].feedForward as? MemoryFeedForward)?.expansion else { return .nan }
        let x: Tensor = .normal([32, layer.inputDimensions], device: model.device)
        return noGrad {
            let encoded: MemoryCodes = layer.hash.encode(x)
            let tables: Tensor = layer.lookup.tables.reshaped(layer.hash.tableCount, -1, layer.outputDimensions)
            let rows: [Tensor] = (0..<layer.hash.tableCount).map { table in
                tables.selected(axis: 0, index: table).indexSelect(axis: 0, indices: encoded.codes.selected(axis: 1, index: table))
                    * encoded.weights.narrowed(axis: 1, start: table, length: 1)
            }
            let expected: Tensor = stacked(rows).sum(axis: 0) + layer.lookup.bias
            return ((layer(x) - expected).abs().max() / expected.abs().max()).item(Double.self)
        }
    }
}
