import NN
import Torch

/// Replaces the attention of every layer by ``LearnedFeatureAttention``; everything else is shared with `model`.
///
/// Train the feature maps first, by ``attentionTransferLoss(from:to:tokens:)``, and adapters after that, by the next token.
/// - Throws: `ConfigurationError` where a layer is no softmax attention, or a setting is out of its range.
public func withLearnedFeatures(_ model: LlamaModel, window: Int = 64, mix: Double = 0.5) throws -> LlamaModel {
    let checked: LigerConfiguration = try LigerConfiguration(window: window, mix: mix)
    guard model.softmaxLayers != nil else {
        throw ConfigurationError("only a model whose layers are all softmax attention can be linearised")
    }
    let decoder: LlamaDecoder = model.decoder { LearnedFeatureAttention($0, window: checked.window, mix: checked.mix) }
    return LlamaModel(model.configuration, decoder: decoder, head: model.head)
}

/// How far the mixers of one model are from the attention of another at the same inputs: the squared differences of their outputs, averaged in a layer and
/// summed over layers. The inputs are the teacher's, so layers learn independently (Zhang et al., 2024, section 3.1).
/// - Parameters:
///   - teacher: through which no gradient flows.
///   - student: with the same number of layers.
///   - tokens: `[B, T]`, int64.
public func attentionTransferLoss(from teacher: LlamaModel, to student: LlamaModel, tokens: Tensor) -> Tensor {
    precondition(
        teacher.decoder.blocks.count == student.decoder.blocks.count,
        "attentionTransferLoss: \(teacher.decoder.blocks.count) layers and \(student.decoder.blocks.count)")
    var x: Tensor = noGrad { teacher.decoder.embedding(tokens) }
    var losses: [Tensor] = []
    for (wanted, found) in zip(teacher.decoder.blocks, student.decoder.blocks) {
        let (input, target): (Tensor, Tensor) = noGrad {
            let normed: Tensor = wanted.attentionNorm(x)
            return (normed, wanted.attention(normed))
        }
        losses.append(meanSquaredError(found.attention(input), target))
        x = noGrad {
            let mixed: Tensor = x + target
            return mixed + wanted.feedForward(wanted.feedForwardNorm(mixed))
        }
    }
    return stacked(losses).sum()
}
