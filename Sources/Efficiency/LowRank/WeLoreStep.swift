import NN
import SequenceModels
import Torch
import Training

/// `welore` in a recipe: factors in the place of the matrices whose singular values fall off fast, see ``WeLore``, and where wanted a training of
/// these factors and the norms alone.
public struct WeLoreStep: CompressionStep {
    public static let name: String = "welore"

    /// Share of all singular values that the threshold is set to drop.
    public var reduction: Double = 0.5
    /// Matrices that lose a larger share of their rank are replaced.
    public var minRatio: Double = 0.5
    public var normalization: SpectrumNormalization = .minMax
    /// Steps of fine-tuning; 0 uses no text.
    public var steps: Int = 0
    public var learningRate: Double = 1e-4

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case reduction, normalization, steps
        case minRatio = "min-ratio"
        case learningRate = "learning-rate"
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(
        reduction: Double = 0.5, minRatio: Double = 0.5, normalization: SpectrumNormalization = .minMax, steps: Int = 0,
        learningRate: Double = 1e-4
    ) throws {
        (self.reduction, self.minRatio, self.normalization) = (reduction, minRatio, normalization)
        (self.steps, self.learningRate) = (steps, learningRate)
        try validate()
    }

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.reduction, into: &reduction)
        try fields.read(.minRatio, into: &minRatio)
        try fields.read(.normalization, into: &normalization)
        try fields.read(.steps, into: &steps)
        try fields.read(.learningRate, into: &learningRate)
        try validate()
    }

    private func validate() throws {
        try checkShare(reduction, "reduction")
        try checkShare(minRatio, "min-ratio")
        if steps < 0 { throw ConfigurationError("steps is \(steps); it has to be at least 0") }
        try checkPositive(learningRate, "learning-rate")
    }

    public var summary: String {
        let tuning: String = steps > 0 ? ", \(steps) steps of fine-tuning" : ""
        return "\(reduction) of the singular values by one threshold (\(normalization.rawValue)), min-ratio \(minRatio)\(tuning)"
    }

    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let layers: [String: any LinearMap] = try layers(of: subject)
        return WeLore.choices(try rankPlan(subject, context), layers)
    }

    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {
        if steps > 0 { _ = try context.requiredCalibration(for: "fine-tuning after welore") }
        _ = try layers(of: subject)
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let text: TextWindows? = steps > 0 ? try context.requiredCalibration(for: "fine-tuning after welore") : nil
        _ = try layers(of: subject)
        let report: CompressionReport = WeLore.apply(try rankPlan(subject, context), to: subject.model)
        if let text, let model = subject.languageModel {
            WeLore.freezeForFinetuning(model)
            try StepTraining(steps: steps, learningRate: learningRate).run(model, on: text, context) { model.loss($0) }
        }
        return report.steps.flatMap(\.choices)
    }

    private func rankPlan(_ subject: CompressedModel, _ context: CompressionContext) throws -> RankPlan {
        let plan: RankPlan = try WeLore.plan(
            WeLore.singularSpectra(subject.model), targetERR: reduction, minRatio: minRatio, normalization: normalization)
        context.progress(plan.summary)
        return plan
    }

    private func layers(of subject: CompressedModel) throws -> [String: any LinearMap] {
        if steps > 0, subject.languageModel == nil {
            throw ConfigurationError("welore can fine-tune language models only; leave out steps")
        }
        return try subject.requiredDenseMatrices(for: Self.name)
    }
}

extension LowRankLinear {
    /// Bytes of a layer when this many elements stand for its matrix.
    static func bytes(of layer: any LinearMap, keeping elements: Int) -> Int {
        layer.byteCount - (layer.inputDimensions * layer.outputDimensions - elements) * layer.denseWeight().dtype.byteCount
    }
}

extension CompressedModel {
    /// The matrices that a method of low rank can take apart, by path.
    /// - Throws: `ConfigurationError` where there are none, as in a model that is quantised already.
    func requiredDenseMatrices(for method: String) throws -> [String: any LinearMap] {
        let found: [(path: String, layer: any LinearMap)] = model.denseMatrices
        if found.isEmpty { throw ConfigurationError("\(method) needs dense matrices, and the model has none; let it come before quantize") }
        return Dictionary(uniqueKeysWithValues: found)
    }
}

/// - Throws: `ConfigurationError` unless the value is a positive number.
func checkPositive(_ value: Double, _ name: String) throws {
    if !(value > 0 && value.isFinite) { throw ConfigurationError("\(name) is \(value); it has to be above 0") }
}
