import NN
import SequenceModels
import Torch

/// Attention as a textbook has it, with biases where wanted, and nothing that knows of ranks.
final class TextbookAttention: Module {
    @ModuleInfo(key: "q_proj") var query: any LinearMap
    @ModuleInfo(key: "k_proj") var key: any LinearMap
    @ModuleInfo(key: "v_proj") var value: any LinearMap
    @ModuleInfo(key: "out_proj") var output: any LinearMap
    let heads: Int

    init(_ dimensions: Int, heads: Int, bias: Bool) {
        self.heads = heads
        super.init()
        query = Linear(dimensions, dimensions, bias: bias)
        key = Linear(dimensions, dimensions, bias: bias)
        value = Linear(dimensions, dimensions, bias: bias)
        output = Linear(dimensions, dimensions, bias: bias)
    }

    /// Queries from `x` `[B, T, D]`, keys and values from `context` `[B, S, D]`.
    func callAsFunction(_ x: Tensor, context: Tensor? = nil, causal: Bool = false) -> Tensor {
        func split(_ y: Tensor) -> Tensor { y.reshaped(y.dim(0), y.dim(1), heads, y.dim(2) / heads) }
        let source: Tensor = context ?? x
        return output(softmaxAttention(split(query(x)), split(key(source)), split(value(source)), causal: causal).flattened(from: 2))
    }
}

/// A decoder of OPT's shape: pre-norm, learned positions, biases, ReLU, the head tied to the embedding.
final class OPTModel: Module {
    final class Block: Module {
        @ModuleInfo(key: "self_attn") var attention: TextbookAttention
        @ModuleInfo(key: "self_attn_layer_norm") var attentionNorm: LayerNorm
        @ModuleInfo var fc1: any LinearMap
        @ModuleInfo var fc2: any LinearMap
        @ModuleInfo(key: "final_layer_norm") var feedForwardNorm: LayerNorm

        init(_ dimensions: Int, heads: Int) {
            super.init()
            attention = TextbookAttention(dimensions, heads: heads, bias: true)
            attentionNorm = LayerNorm(dimensions)
            fc1 = Linear(dimensions, 4 * dimensions)
            fc2 = Linear(4 * dimensions, dimensions)
            feedForwardNorm = LayerNorm(dimensions)
        }

        func callAsFunction(_ x: Tensor) -> Tensor {
            let mixed: Tensor = x + attention(attentionNorm(x), causal: true)
            return mixed + fc2(fc1(feedForwardNorm(mixed)).relu())
        }
    }

    @ModuleInfo(key: "embed_tokens") var embedding: Embedding
    @ModuleInfo(key: "embed_positions") var positions: Embedding
    @ModuleInfo var layers: [Block]
    @ModuleInfo(key: "final_layer_norm") var norm: LayerNorm

    init(vocabulary: Int, dimensions: Int, layers count: Int, heads: Int, context: Int) {
        super.init()
        embedding = Embedding(vocabulary, dimensions)
        positions = Embedding(context, dimensions)
        layers = (0..<count).map { _ in Block(dimensions, heads: heads) }
        norm = LayerNorm(dimensions)
    }

    /// Tokens `[B, T]` to logits `[B, T, V]`.
    func callAsFunction(_ tokens: Tensor) -> Tensor {
        let embedded: Tensor = embedding(tokens) + positions(.arange(tokens.dim(1), device: tokens.device))
        return embedding.asLinear(norm(layers.reduce(embedded) { $1($0) }))
    }
}

/// An encoder and a decoder of T5's shape (with learned positions in the place of relative ones): RMS norms, no biases, ReLU.
final class EncoderDecoder: Module {
    final class Block: Module {
        @ModuleInfo(key: "SelfAttention") var attention: TextbookAttention
        @ModuleInfo(key: "EncDecAttention") var crossAttention: TextbookAttention?
        @ModuleInfo var wi: any LinearMap
        @ModuleInfo var wo: any LinearMap
        @ModuleInfo var norms: [RMSNorm]

        init(_ dimensions: Int, heads: Int, isDecoder: Bool) {
            super.init()
            attention = TextbookAttention(dimensions, heads: heads, bias: false)
            crossAttention = isDecoder ? TextbookAttention(dimensions, heads: heads, bias: false) : nil
            wi = Linear(dimensions, 4 * dimensions, bias: false)
            wo = Linear(4 * dimensions, dimensions, bias: false)
            norms = (0..<3).map { _ in RMSNorm(dimensions) }
        }

        func callAsFunction(_ x: Tensor, context: Tensor? = nil) -> Tensor {
            var x: Tensor = x + attention(norms[0](x), causal: context != nil)
            if let context, let crossAttention { x = x + crossAttention(norms[1](x), context: context) }
            return x + wo(wi(norms[2](x)).relu())
        }
    }

    @ModuleInfo var shared: Embedding
    @ModuleInfo(key: "positions_embedding") var positions: Embedding
    @ModuleInfo var encoder: [Block]
    @ModuleInfo var decoder: [Block]
    @ModuleInfo var norm: RMSNorm
    @ModuleInfo(key: "lm_head") var head: any LinearMap

    init(vocabulary: Int, dimensions: Int, layers: Int, heads: Int, context: Int) {
        super.init()
        shared = Embedding(vocabulary, dimensions)
        positions = Embedding(context, dimensions)
        encoder = (0..<layers).map { _ in Block(dimensions, heads: heads, isDecoder: false) }
        decoder = (0..<layers).map { _ in Block(dimensions, heads: heads, isDecoder: true) }
        norm = RMSNorm(dimensions)
        head = Linear(dimensions, vocabulary, bias: false)
    }

    /// Logits `[B, T, V]` of the tokens after `target` `[B, T]`, for what `source` `[B, S]` says.
    func callAsFunction(_ source: Tensor, _ target: Tensor) -> Tensor {
        func embedded(_ tokens: Tensor) -> Tensor { shared(tokens) + positions(.arange(tokens.dim(1), device: tokens.device)) }
        let context: Tensor = encoder.reduce(embedded(source)) { $1($0) }
        return head(norm(decoder.reduce(embedded(target)) { $1($0, context: context) }))
    }
}
