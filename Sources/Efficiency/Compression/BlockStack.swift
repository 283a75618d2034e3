import NN
import SequenceModels
import Torch

/// A model as a stack of blocks around one residual stream, whichever model it is: a language model, or BERT.
public struct BlockStack {
    public let model: Module
    /// Dotted paths of the blocks, first to last.
    public let paths: [String]
    private let stream: (Tensor) -> [Tensor]

    public init(_ model: any LayeredLanguageModel) {
        self.model = model
        paths = model.blockPaths
        stream = { model.residualStream($0, mask: nil) }
    }

    public init(_ model: BertModel) {
        self.model = model
        paths = model.layers.indices.map { "encoder.layer.\($0)" }
        stream = { model($0).hiddenStates }
    }

    /// The blocks, first to last.
    public var blocks: [Module] { paths.compactMap { model.module(at: $0) } }

    /// The stream before each block and after the last one for tokens `[B, T]`, without a gradient: `blocks + 1` of `[B, T, D]`.
    public func streams(_ tokens: Tensor) -> [Tensor] { noGrad { stream(tokens) } }

    /// One block's output for its input `[B, T, D]`, without a gradient. Traps for a block of a kind that is not known.
    public func run(_ index: Int, _ x: Tensor) -> Tensor {
        var none: MixerState?
        return noGrad {
            switch model.module(at: paths[index]) {
            case let block as any MixerBlock: block(x, mask: nil, state: &none, mode: nil)
            case let block as LlamaBlock: block(x, state: &none)
            case let block as GPT2Block: block(x, state: &none)
            case let block as BertLayer: block(x)
            case let other: preconditionFailure("BlockStack: cannot run a block that is a \(other.map { "\(type(of: $0))" } ?? "nothing")")
            }
        }
    }

    /// The dense matrices inside the blocks whose place admits another kind of layer, in the order of the forward pass: those of compressed layers' own
    /// parts among them.
    public var denseLinearMaps: [(path: String, layer: any LinearMap)] { paths.indices.flatMap(denseLinearMaps(in:)) }

    /// The dense matrices inside one block whose place admits another kind of layer.
    public func denseLinearMaps(in index: Int) -> [(path: String, layer: any LinearMap)] {
        guard let block = model.module(at: paths[index]) else { return [] }
        return block.namedModules(prefix: paths[index]).compactMap { path, module in
            guard module is Linear || module is TransposedLinear, let map = module as? any LinearMap else { return nil }
            return model.canReplaceModule(at: path, with: InputRecorder(map, pass: InputRecorder.Pass())) ? (path, map) : nil
        }
    }
}
