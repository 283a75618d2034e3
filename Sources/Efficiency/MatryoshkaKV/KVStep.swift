import NN
import SequenceModels
import Torch
import Training

/// `kv` in a recipe: the cache of keys and values of every softmax attention cut to the leading channels of orthogonal bases (arXiv 2410.14731).
///
/// The bases start as principal axes, are trained for a number of steps, and get ranks that a search found. What is written are the folded layers. The
/// model itself becomes no smaller to speak of; its cache does.
public struct KVStep: CompressionStep {
    public static let name: String = "kv"

    /// Where the ranks come from.
    public enum Ranks: String, Codable, Sendable, CaseIterable {
        /// ``RankSearch`` by the predictions of the whole model.
        case exact
        /// ``RankSearch`` layer by layer.
        case fast
        /// The same rank for all heads.
        case uniform
    }

    /// Share of the cache that is kept.
    public var budget: Double = 0.5
    /// Steps of training; 0 leaves the principal axes as they are.
    public var steps: Int = 300
    public var learningRate: Double = 1e-3
    public var ranks: Ranks = .fast
    /// Windows of the calibration text that the principal axes are computed from.
    public var windows: Int = 128
    /// Windows that the search measures errors on.
    public var searchWindows: Int = 8

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case budget, steps, ranks, windows
        case learningRate = "learning-rate"
        case searchWindows = "search-windows"
    }

    public init() {}

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.budget, into: &budget)
        try fields.read(.steps, into: &steps)
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.ranks, into: &ranks)
        try fields.read(.windows, into: &windows)
        try fields.read(.searchWindows, into: &searchWindows)
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public func validate() throws {
        guard budget > 0, budget <= 1 else { throw ConfigurationError("kv: budget is \(budget); it has to be above 0 and at most 1") }
        guard steps >= 0 else { throw ConfigurationError("kv: steps is \(steps); it has to be at least 0") }
        guard learningRate > 0 else { throw ConfigurationError("kv: learning-rate is \(learningRate); it has to be above 0") }
        for (name, value) in [("windows", windows), ("search-windows", searchWindows)] where value < 1 {
            throw ConfigurationError("kv: \(name) is \(value); it has to be at least 1")
        }
    }

    public var summary: String {
        let training: String = steps == 0 ? "principal axes" : "trained for \(steps) steps"
        return "\(budget) of the cache, \(training), \(ranks.rawValue) ranks"
    }

    /// With one rank for all heads, since a search would have to change the model.
    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        try attentions(of: subject.model).map { path, mixer in
            let c: AttentionConfiguration = mixer.attention.configuration
            let full: KVRankPlan = KVRankPlan(
                layers: [KVRanks(heads: c.keyValueHeads, rank: c.headDimensions)], headDimensions: c.headDimensions)
            let ranks: KVRanks = KVRankPlan.uniform(budget: budget, like: full).layers[0]
            let folded: FoldedKVAttention = try .empty(ranks, replacing: mixer)
            return LayerChoice(
                path: path, choice: "about " + Self.words(ranks, c), bytesBefore: mixer.byteCount, bytesAfter: folded.byteCount)
        }
    }

    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {
        _ = try attentions(of: subject.model)
        guard subject.languageModel != nil else { throw Self.unsuitable }
        _ = try context.requiredCalibration(for: Self.name)
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let layers: [(path: String, mixer: SoftmaxAttention)] = try attentions(of: subject.model)
        guard let model = subject.languageModel else { throw Self.unsuitable }
        let text: TextWindows = try context.requiredCalibration(for: Self.name)
        let before: [Int] = layers.map(\.mixer.byteCount)
        for layer in layers { model.replaceModule(at: layer.path, with: layer.mixer) }
        context.progress("kv: principal axes of \(layers.count) layers")
        model.attachKVProjections(try KVProjection.pca(model, calibration: tokens(text, windows, model)))
        if steps > 0 {
            try context.checkCancellation()
            context.progress("kv: \(steps) steps of training")
            let training: MatryoshkaKVTraining = try MatryoshkaKVTraining(
                steps: steps, learningRate: learningRate, warmUp: min(100, steps / 3), seed: context.seed)
            _ = try MatryoshkaKVTrainer(model, training).run(on: text, progress: .quiet)
            model.train(false)
        }
        try context.checkCancellation()
        context.progress("kv: \(ranks.rawValue) ranks")
        let plan: KVRankPlan = try found(model, text)
        model.setKVRanks(plan)
        model.foldKVProjections()
        let folded: [FoldedKVAttention] = model.mixers(FoldedKVAttention.self).map(\.mixer)
        return layers.indices.map { index in
            LayerChoice(
                path: layers[index].path, choice: Self.words(plan.layers[index], layers[index].mixer.attention.configuration),
                bytesBefore: before[index], bytesAfter: folded[index].byteCount)
        }
    }

    private func found(_ model: any CausalLanguageModel, _ text: TextWindows) throws -> KVRankPlan {
        guard let measure = RankSearch.Measure(rawValue: ranks.rawValue) else { return .uniform(budget: budget, like: model.fullKVRanks) }
        let read: Tensor = concatenated(tokens(text, searchWindows, model))
        return try RankSearch.greedy(
            model, calibration: read.narrowed(axis: 0, start: 0, length: searchWindows), budget: budget, measure: measure)
    }

    private static let unsuitable: ConfigurationError = ConfigurationError(
        "kv compresses the caches of Llama and GPT-2 models and of others whose layers are softmax attention; this model has none"
    )

    /// The attentions by path; GPT-2's, whose queries, keys and values come from one matrix, as copies with three.
    private func attentions(of model: Module) throws -> [(path: String, mixer: SoftmaxAttention)] {
        let fused: [(path: String, mixer: GPT2Attention)] = model.mixers(GPT2Attention.self)
        if let path = fused.first(where: { $0.mixer.projection is any CompressedLayer })?.path {
            throw ConfigurationError(
                "kv takes the matrix of queries, keys and values apart, and that of \(path) is compressed; let kv come first")
        }
        let layers: [(path: String, mixer: SoftmaxAttention)] =
            model.mixers(SoftmaxAttention.self) + fused.map { ($0.path, $0.mixer.separated()) }
        if layers.isEmpty { throw Self.unsuitable }
        return layers
    }

    private func tokens(_ text: TextWindows, _ windows: Int, _ model: any CausalLanguageModel) -> [Tensor] {
        (0..<(windows + text.rows - 1) / text.rows).map { text.batch($0).tensors(device: model.device).tokens }
    }

    /// The ranks and what a token takes in the cache.
    private static func words(_ ranks: KVRanks, _ c: AttentionConfiguration) -> String {
        func list(_ ranks: [Int]) -> String { ranks.map(String.init).joined(separator: " ") }
        return
            "keys \(list(ranks.keys)), values \(list(ranks.values)): \(2 * c.keyValueHeads * c.headDimensions) -> \(ranks.total) numbers a token"
    }
}
