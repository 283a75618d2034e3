import NN
import SequenceModels
import Torch

/// Turns a trained multimodal decoder into one whose redundant layers are mixtures of depths.
public enum GammaMoD {
    /// Replaces the plan's blocks, which keep their weights; fine-tune the model afterwards with its `Module/takeAuxiliaryLoss()`.
    /// - Parameters:
    ///   - model: of plain blocks.
    ///   - plan: which blocks are converted.
    ///   - routing: which tokens they run.
    ///   - sharedRouter: one router for all layers; else one for each, as a comparison.
    ///   - generator: of the routers' first weights; nil takes the shared one.
    /// - Returns: the new layers, first layer first.
    /// - Throws: `ConfigurationError` for a plan of another number of layers, or a block that is none of a `PlainTransformer`.
    @discardableResult
    public static func convert(
        _ model: MultimodalDecoder, plan: MoDPlan, routing: DepthRouting, sharedRouter: Bool = true, generator: RandomGenerator? = nil
    ) throws -> [MixtureOfDepthLayer] {
        guard plan.layers == model.blocks.count else {
            throw ConfigurationError("the plan is for \(plan.layers) layers; the model has \(model.blocks.count)")
        }
        let dimensions: Int = model.embedding.dimensions
        func makeRouter() -> SharedDepthRouter {
            let router: SharedDepthRouter = SharedDepthRouter(dimensions, generator: generator)
            router.to(dtype: model.embedding.weight.dtype, device: model.device)
            return router
        }
        let shared: SharedDepthRouter = makeRouter()
        let layers: [MixtureOfDepthLayer] = try plan.converted.map { index in
            guard let block = model.blocks[index] as? PlainTransformerBlock else {
                throw ConfigurationError("block \(index) is a \(type(of: model.blocks[index])), which has no form as a mixture of depths")
            }
            return MixtureOfDepthLayer(base: block, router: sharedRouter ? shared : makeRouter(), routing: routing)
        }
        for (index, layer) in zip(plan.converted, layers) {
            layer.train(model.isTraining)
            model.replaceModule(at: "blocks.\(index)", with: layer)
        }
        return layers
    }

    /// The threshold at which an evaluated model runs as many of the image's tokens as it was trained to, to about 1e-3; it is set in all of the layers.
    /// - Parameters:
    ///   - model: that was converted and fine-tuned.
    ///   - samples: images and texts that are read.
    @discardableResult
    public static func calibrateThreshold(of model: MultimodalDecoder, samples: [(patches: Tensor, tokens: Tensor)]) -> Double {
        let layers: [MixtureOfDepthLayer] = model.depthLayers
        let wanted: Double = layers.first?.routing.capacity ?? 1
        var (low, high): (Double, Double) = (0, 1)
        for _ in 0..<12 {
            let middle: Double = (low + high) / 2
            for layer in layers { layer.routing.threshold = middle }
            let statistics: RoutingStatistics = RoutingStatistics.measure(model, samples: samples)
            if statistics.imageRate > wanted { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}

extension MultimodalDecoder {
    /// The mixtures of depths, first layer first.
    public var depthLayers: [MixtureOfDepthLayer] { blocks.compactMap { $0 as? MixtureOfDepthLayer } }
}

/// Which tokens ran in the mixtures of depths of a model, and what a sequence cost.
public struct RoutingStatistics: Sendable {
    private var image: Double = 0
    private var imageTotal: Double = 0
    private var text: Double = 0
    private var textTotal: Double = 0
    private var work: Double = 0
    private var sequences: Int = 0

    public init() {}

    /// Share of the image's tokens that ran, over all mixtures of depths; 1 where there are none.
    public var imageRate: Double { imageTotal == 0 ? 1 : image / imageTotal }

    /// Share of the text's tokens that ran.
    public var textRate: Double { textTotal == 0 ? 1 : text / textTotal }

    /// Multiply-accumulates of the decoder's blocks and of the routers for one sequence, as ``CostModel`` counts them.
    public var multiplyAccumulates: Double { work / Double(max(1, sequences)) }

    /// Takes in the newest call of a model, of `rows` sequences of `length` patches and tokens.
    public mutating func add(_ model: MultimodalDecoder, rows: Int, length: Int) {
        sequences += rows
        for block in model.blocks {
            let tokens: Int = CostModel(of: (block as? MixtureOfDepthLayer)?.base ?? block).linearMultiplyAccumulates
            guard let layer = block as? MixtureOfDepthLayer, let kept = layer.kept else {
                work += Double(rows * (length * tokens + CostModel.causalAttention(length: length, dimensions: model.embedding.dimensions)))
                continue
            }
            let counts: [Double] = kept.asType(.float64).sum(axis: 1).array()
            let router: Int = length * layer.router.projection.multiplyAccumulates
            work += counts.reduce(0) { sum, count in
                let pairs: Int = CostModel.causalAttention(length: Int(count), dimensions: model.embedding.dimensions)
                return sum + count * Double(tokens) + Double(pairs + router)
            }
            let first: Int = min(length, layer.routing.imageTokens)
            let inImage: Double = kept.narrowed(axis: 1, start: 0, length: first).asType(.float64).sum().item()
            image += inImage
            imageTotal += Double(rows * first)
            text += counts.reduce(0, +) - inImage
            textTotal += Double(rows * (length - first))
        }
    }

    /// Reads samples without a gradient, in the mode that the model is in.
    public static func measure(_ model: MultimodalDecoder, samples: [(patches: Tensor, tokens: Tensor)]) -> RoutingStatistics {
        var statistics: RoutingStatistics = RoutingStatistics()
        noGrad {
            for sample in samples {
                _ = model.hidden(patches: sample.patches, tokens: sample.tokens)
                statistics.add(model, rows: sample.tokens.dim(0), length: sample.patches.dim(1) + sample.tokens.dim(1))
            }
        }
        return statistics
    }
}
