import NN
import SequenceModels
import Torch
import Training

/// `prune` in a recipe: drops the elements that are smallest by magnitude (Han et al., 2015, *Learning both Weights and Connections*), the baseline of methods
/// that make layers smaller. Embeddings, head and norms are not touched.
public struct PruneStep: CompressionStep {
    public static let name: String = "prune"

    /// Among what an element has to be small.
    public enum Scope: String, Codable, Sendable, CaseIterable {
        /// The elements of its matrix: each loses the same share.
        case layer
        /// All elements of all matrices: one threshold.
        case model
    }

    /// Share of the elements that are dropped.
    public var sparsity: Double = 0.5
    public var scope: Scope = .layer
    /// Steps of fine-tuning what is left; 0 uses no text.
    public var steps: Int = 0
    public var learningRate: Double = 1e-4

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case sparsity, scope, steps
        case learningRate = "learning-rate"
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(sparsity: Double = 0.5, scope: Scope = .layer, steps: Int = 0, learningRate: Double = 1e-4) throws {
        (self.sparsity, self.scope, self.steps, self.learningRate) = (sparsity, scope, steps, learningRate)
        try validate()
    }

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.sparsity, into: &sparsity)
        try fields.read(.scope, into: &scope)
        try fields.read(.steps, into: &steps)
        try fields.read(.learningRate, into: &learningRate)
        try validate()
    }

    private func validate() throws {
        try checkShare(sparsity, "sparsity")
        if steps < 0 { throw ConfigurationError("steps is \(steps); it has to be at least 0") }
        try checkPositive(learningRate, "learning-rate")
    }

    public var summary: String {
        let tuning: String = steps > 0 ? ", \(steps) steps of fine-tuning" : ""
        return "\(sparsity) of the elements by magnitude, a threshold for \(scope == .layer ? "each matrix" : "the whole model")\(tuning)"
    }

    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {
        _ = try layers(of: subject)
        if steps > 0 {
            if subject.languageModel == nil { throw ConfigurationError("prune can fine-tune language models only; leave out steps") }
            _ = try context.requiredCalibration(for: "fine-tuning after prune")
        }
    }

    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let layers: [(path: String, layer: any LinearMap)] = try layers(of: subject)
        return zip(layers, masks(of: layers.map(\.layer))).map { choice($0.path, $0.layer, keeping: $1) }
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let layers: [(path: String, layer: any LinearMap)] = try layers(of: subject)
        let text: TextWindows? = steps > 0 ? try context.requiredCalibration(for: "fine-tuning after prune") : nil
        var choices: [LayerChoice] = []
        for ((path, layer), mask) in zip(layers, masks(of: layers.map(\.layer))) {
            choices.append(choice(path, layer, keeping: mask))
            subject.model.replaceModule(at: path, with: SparseLinear(layer, keeping: mask))
        }
        if let text, let model = subject.languageModel {
            let training: StepTraining = StepTraining(steps: steps, learningRate: learningRate)
            try training.run(model, on: text, context) { model.loss($0) }
        }
        return choices
    }

    private func layers(of subject: CompressedModel) throws -> [(path: String, layer: any LinearMap)] {
        let found: [(path: String, layer: any LinearMap)] = subject.denseLinearMaps
        if found.isEmpty { throw ConfigurationError("prune needs dense matrices, and the model has none; let it come first") }
        return found
    }

    private func choice(_ path: String, _ layer: any LinearMap, keeping mask: Tensor) -> LayerChoice {
        let kept: Int = mask.sum().item(Int.self)
        return LayerChoice(
            path: path, choice: "\(kept) of \(mask.count)", bytesBefore: layer.byteCount,
            bytesAfter: SparseLinear.bytes(of: layer, keeping: kept))
    }

    /// True where an element stays. Of equal elements the first stay, so that counts are exact.
    func masks(of layers: [any LinearMap]) -> [Tensor] {
        noGrad {
            let sizes: [Tensor] = layers.map { $0.denseWeight().detached().abs().asType(.float32).flattened() }
            let kept: [Tensor] =
                scope == .layer
                ? sizes.map(largest) : largest(concatenated(sizes)).split(sizes: sizes.map(\.count))
            return zip(layers, kept).map { $1.reshaped([$0.outputDimensions, $0.inputDimensions]) }
        }
    }

    private func largest(_ sizes: Tensor) -> Tensor {
        let dropped: Int = Int((sparsity * Double(sizes.count)).rounded())
        let order: Tensor = sizes.argSort(descending: true)
        let mask: Tensor = .zeros([sizes.count], dtype: .bool, device: sizes.device)
        return mask.scatter(axis: 0, indices: order.narrowed(axis: 0, start: 0, length: sizes.count - dropped), value: true)
    }
}
