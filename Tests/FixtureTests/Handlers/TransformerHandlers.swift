import Foundation
import NN
import SequenceModels
import Torch

/// Models in Hugging Face's format: the folder is loaded as a user's would be, and run on the reference's tokens.
let transformerOperators: [FixtureOperator] = [
    .plain("hf_llama") { inputs in
        let model: LlamaModel = try loaded(inputs)
        return try languageModelValues(model, inputs) { model.hiddenStates($0) }
    },
    .plain("hf_gpt2") { inputs in
        let model: GPT2Model = try loaded(inputs)
        return try languageModelValues(model, inputs) { model.hiddenStates($0) }
    },
    .plain("hf_bert") { inputs in
        let model: BertModel = try BertModel.load(from: folder(of: inputs))
        model.to(dtype: inputs.dtype, device: .cpu)
        let output: BertModel.Output = model(
            try inputs.tensor("input_ids"), mask: try inputs.tensor("attention_mask"), segment: try inputs.tensor("token_type_ids"))
        let loss: Tensor = (output.meanPooled * (try inputs.cotangent("mean_pooled"))).sum()
        var values: [String: Tensor] = gradients(of: loss, model, where: { !$0.hasPrefix("pooler") })
        try replaceRounding(in: &values, inputs)
        values["out.mean_pooled"] = output.meanPooled.detached()
        values["out.pooler_output"] = output.pooled?.detached()
        for (index, state) in output.hiddenStates.enumerated() { values["out.hidden_states.\(index)"] = state.detached() }
        return values
    },
]

/// Adding one vector to all keys of a head changes no softmax, so the gradient of a key's bias is 0 and the reference has nothing but its own
/// rounding there. Checks that it is as small here, and takes the reference's.
private func replaceRounding(in values: inout [String: Tensor], _ inputs: FixtureInputs) throws {
    for (name, gradient) in values where name.hasSuffix("self.key.bias") {
        guard let ofWeight = values[name.replacingOccurrences(of: "bias", with: "weight")] else { continue }
        let size: Double = (gradient.abs().max() / ofWeight.abs().max()).item()
        guard size < (inputs.dtype == .float64 ? 1e-13 : 1e-5) else { throw FixtureError("\(name) is \(size) of the weight's; it is 0") }
        values[name] = try inputs.file.tensor(name)
    }
}

/// The folder that a reference lies in, beside the model.
private func folder(of inputs: FixtureInputs) -> URL { URL(fileURLWithPath: inputs.file.name).deletingLastPathComponent() }

private func loaded<Model: CausalLanguageModel>(_ inputs: FixtureInputs) throws -> Model {
    guard let model = try PretrainedModel.load(from: folder(of: inputs)).model as? Model else {
        throw FixtureError("the folder holds no \(Model.self)")
    }
    model.to(dtype: inputs.dtype, device: .cpu)
    return model
}

private func languageModelValues(
    _ model: some CausalLanguageModel, _ inputs: FixtureInputs, hiddenStates: (Tensor) -> [Tensor]
) throws -> [String: Tensor] {
    let tokens: Tensor = try inputs.tensor("input_ids")
    let logits: Tensor = model(tokens)
    let length: Int = tokens.dim(1)
    let loss: Tensor = crossEntropy(
        logits.narrowed(axis: 1, start: 0, length: length - 1).flattened(from: 0, to: 1),
        tokens.narrowed(axis: 1, start: 1, length: length - 1).flattened())
    var values: [String: Tensor] = gradients(of: loss, model)
    values["out.logits"] = logits.detached()
    for (index, state) in hiddenStates(tokens).enumerated() { values["out.hidden_states.\(index)"] = state.detached() }
    let greedy: SamplingConfiguration = try SamplingConfiguration(temperature: 0)
    let prompt: [Int] = Array(tokens.selected(axis: 0, index: 0).array(Int.self).prefix(5))
    let added: [Int] = model.generate(prompt: prompt, limit: 12, sampling: greedy)
    values["out.greedy_ids"] = Tensor(prompt + added, [1, 17], device: .cpu)
    return values
}

private func gradients(of loss: Tensor, _ model: some Module, where chosen: (String) -> Bool = { _ in true }) -> [String: Tensor] {
    let parameters: [(name: String, tensor: Tensor)] = model.namedParameters().filter { chosen($0.name) }
    let found: [Tensor] = Torch.gradients(of: [loss], withRespectTo: parameters.map(\.tensor))
    var values: [String: Tensor] = Dictionary(uniqueKeysWithValues: zip(parameters, found).map { ("grad.\($0.name)", $1) })
    values["out.loss"] = loss.detached().reshaped(1)
    return values
}
