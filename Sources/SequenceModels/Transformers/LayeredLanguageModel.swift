import NN
import Torch

/// A language model made of blocks around one residual stream, as what compresses, skips or ranks whole layers sees it.
public protocol LayeredLanguageModel: CausalLanguageModel {
    /// Dotted paths of the blocks, first to last.
    var blockPaths: [String] { get }

    /// The stream before each block and after the last one, without the final norm: `blocks + 1` of `[B, T, D]`.
    /// - Parameters:
    ///   - tokens: `[B, T]`, int64.
    ///   - mask: `[B, T]`, 1 for real tokens.
    func residualStream(_ tokens: Tensor, mask: Tensor?) -> [Tensor]
}

extension LayeredLanguageModel {
    /// The blocks, first to last.
    public var blockModules: [Module] {
        let byPath: [String: Module] = Dictionary(namedModules().map { ($0.name, $0.module) }) { first, _ in first }
        return blockPaths.compactMap { byPath[$0] }
    }

    /// The linear maps inside the blocks, in the order of the forward pass, without those that another is made of; embedding and head are not among them.
    public var blockLinearMaps: [(path: String, layer: any LinearMap)] {
        let prefixes: [String] = blockPaths.map { "\($0)." }
        return linearMaps.filter { entry in prefixes.contains { entry.path.hasPrefix($0) } }
    }
}

extension LlamaModel: LayeredLanguageModel {
    public var blockPaths: [String] { decoder.blocks.indices.map { "model.layers.\($0)" } }
}

extension GPT2Model: LayeredLanguageModel {
    public var blockPaths: [String] { blocks.indices.map { "transformer.h.\($0)" } }
}

extension LanguageModel: LayeredLanguageModel {
    public var blockPaths: [String] { blocks.indices.map { "blocks.\($0)" } }

    public func residualStream(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        blocks.residualStream(embedding(tokens), mask: mask)
    }
}
