import Efficiency
import NN
import SequenceModels
import Torch

/// A family of transformers as its users write it, and how it reads rows of `length + 1` tokens.
struct RedcoFamily: Sendable {
    let name: String
    /// The undivided model of a seed, with that many layers.
    let make: @Sendable (_ layers: Int, _ seed: UInt64) throws -> Module
    /// Logits `[B, T, V]` of rows `[B, length + 1]`, and the tokens `[B, T]` that are wanted.
    let read: @Sendable (Module, Tensor) -> (logits: Tensor, wanted: Tensor)
    /// Whether the family's layers do not say that they work with a share of their channels, so that a probe has to find out.
    let needsProbe: Bool

    /// The mean cross-entropy of rows.
    func loss(_ model: Module, _ rows: Tensor) -> Tensor {
        let (logits, wanted): (Tensor, Tensor) = read(model, rows)
        return crossEntropy(logits.flattened(from: 0, to: 1), wanted.flattened())
    }

    /// GPT with a head of keys for each of queries, Llama with grouped queries and SwiGLU, an encoder-decoder, and OPT.
    static func all(vocabulary: Int, dimensions: Int, length: Int) -> [RedcoFamily] {
        let heads: Int = 4
        return [
            RedcoFamily(
                name: "GPT",
                make: { layers, seed in
                    let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
                        vocabularySize: vocabulary, dimensions: dimensions, layers: layers, heads: heads, maximumContext: length)
                    return initialized(PlainTransformer(configuration), seed)
                }, read: causal { model, tokens in (model as? PlainTransformer).map { $0(tokens) } }, needsProbe: false),
            RedcoFamily(
                name: "Llama",
                make: { layers, seed in
                    let configuration: LlamaConfiguration = try LlamaConfiguration(
                        vocabularySize: vocabulary, dimensions: dimensions, hiddenDimensions: dimensions * 8 / 3 / 8 * 8, layers: layers,
                        heads: 2 * heads, keyValueHeads: heads)
                    return initialized(LlamaModel(configuration), seed)
                }, read: causal { model, tokens in (model as? LlamaModel).map { $0(tokens) } }, needsProbe: false),
            RedcoFamily(
                name: "encoder-decoder",
                make: { layers, seed in
                    initialized(
                        EncoderDecoder(vocabulary: vocabulary, dimensions: dimensions, layers: layers / 2, heads: heads, context: length),
                        seed)
                },
                read: { model, rows in
                    guard let model = model as? EncoderDecoder else { preconditionFailure("not an encoder-decoder") }
                    let half: Int = rows.dim(1) / 2
                    let rest: Int = rows.dim(1) - half
                    let target: Tensor = rows.narrowed(axis: 1, start: half - 1, length: rest)
                    return (
                        model(rows.narrowed(axis: 1, start: 0, length: half), target), rows.narrowed(axis: 1, start: half, length: rest)
                    )
                }, needsProbe: true),
            RedcoFamily(
                name: "OPT",
                make: { layers, seed in
                    initialized(
                        OPTModel(vocabulary: vocabulary, dimensions: dimensions, layers: layers, heads: heads, context: length), seed)
                }, read: causal { model, tokens in (model as? OPTModel).map { $0(tokens) } }, needsProbe: true),
        ]
    }

    /// Each token from those before it.
    private static func causal(
        _ logits: @escaping @Sendable (Module, Tensor) -> Tensor?
    ) -> @Sendable (Module, Tensor) -> (logits: Tensor, wanted: Tensor) {
        { model, rows in
            let length: Int = rows.dim(1) - 1
            guard let found = logits(model, rows.narrowed(axis: 1, start: 0, length: length)) else {
                preconditionFailure("a model of another family")
            }
            return (found, rows.narrowed(axis: 1, start: 1, length: length))
        }
    }

    /// The weights of a seed, whatever other threads draw meanwhile.
    private static func initialized<Model: Module>(_ model: Model, _ seed: UInt64) -> Module {
        model.initializeNormal(generator: RandomGenerator(seed: seed, device: .cpu))
        return model
    }
}
