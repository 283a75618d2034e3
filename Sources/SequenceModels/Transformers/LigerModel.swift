import NN
import Torch

/// A Llama whose attention is ``LigerAttention``: what ``linearize(_:into:window:mix:)`` makes. Parameters have the same names.
///
/// Its `config.json` is a Llama's with another model type and a section `linnet`, so that nothing else takes it for a softmax model.
public final class LigerLM: LlamaModel {
    public let liger: LigerConfiguration

    static let modelType: String = "linnet_liger"

    /// Weights start from N(0, 0.02²), biases at 0: the model to train from the beginning.
    public convenience init(_ configuration: LlamaConfiguration, _ liger: LigerConfiguration, generator: RandomGenerator? = nil) {
        let decoder: LlamaDecoder = LlamaModel.randomDecoder(configuration) { LigerAttention($0, liger) }
        self.init(configuration, liger, decoder: decoder, head: LlamaModel.randomHead(configuration))
        initializeNormal(generator: generator)
    }

    init(_ configuration: LlamaConfiguration, _ liger: LigerConfiguration, decoder: LlamaDecoder, head: Linear?) {
        self.liger = liger
        super.init(configuration, decoder: decoder, head: head)
    }

    var document: LigerDocument { LigerDocument(model: configuration, liger: liger) }
}

/// Turns the softmax attention of a model into gated recurrences with a window. Embedding, norms, feed-forwards, head and projections are those of
/// `model`, not copies, and there are no others (but for a ``LigerGate/learned`` gate): freezing one model's parameters freezes the other's.
///
/// Source: Lan et al., *Liger: Linearizing Large Language Models to Gated Recurrent Structures*, 2025, section 3. Adapt the result with
/// `applyLoRA(to:_:generator:where:)` and ``LigerTraining``.
/// - Parameters:
///   - model: a Llama with softmax attention.
///   - gate: which recurrence.
///   - window: tokens that the window attention sees, the current one included.
///   - mix: share of the window attention in the output; 0 is the recurrence alone, 1 the window alone.
/// - Throws: `ConfigurationError` where a layer is no softmax attention any more, or a setting is out of its range.
public func linearize(_ model: LlamaModel, into gate: LigerGate, window: Int = 64, mix: Double = 0.5) throws -> LigerLM {
    let liger: LigerConfiguration = try LigerConfiguration(gate: gate, window: window, mix: mix)
    guard model.softmaxLayers != nil else {
        throw ConfigurationError("only a model whose layers are all softmax attention can be linearised")
    }
    return LigerLM(
        model.configuration, liger, decoder: model.decoder(replacingAttention: { LigerAttention($0, liger) }), head: model.head)
}

/// The `config.json` of a ``LigerLM``: that of the Llama it was made from, with another model type and a section of its own.
struct LigerDocument: Codable {
    let model: LlamaConfiguration
    let liger: LigerConfiguration

    private enum CodingKeys: String, CodingKey {
        case section = "linnet"
        case modelType = "model_type"
        case architectures
    }

    init(model: LlamaConfiguration, liger: LigerConfiguration) {
        self.model = model
        self.liger = liger
    }

    init(from decoder: any Decoder) throws {
        model = try LlamaConfiguration(from: decoder)
        liger = try decoder.container(keyedBy: CodingKeys.self).decode(LigerConfiguration.self, forKey: .section)
        try liger.validate()
    }

    func encode(to encoder: any Encoder) throws {
        try model.encode(to: encoder)
        var fields: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(LigerLM.modelType, forKey: .modelType)
        try fields.encode(["LigerForCausalLM"], forKey: .architectures)
        try fields.encode(liger, forKey: .section)
    }
}
