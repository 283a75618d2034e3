import NN
import SequenceModels
import Torch

/// How the tokens of a ``DuoTransformer`` find their modules.
public enum DuoRoutes {
    /// Every token draws its module in every layer alone, all of them equally likely; nil draws from the shared stream.
    case random(RandomGenerator?)
    /// All tokens take one path.
    case fixed(RoutingPath)
    /// A path for each token, `[B, T, L]`: raw values of ``DuoModule`` (int64).
    case paths(Tensor)
    /// Each token takes the module that a router finds likeliest.
    case router(BudgetRouter)
}

/// A `PlainTransformer` in which each token takes the big or the small feed-forward of each layer. Attention is shared and never skipped.
///
/// Called as a language model it takes the big modules everywhere.
public final class DuoTransformer: Module, CausalLanguageModel {
    @ModuleInfo(key: "") public var base: PlainTransformer
    public let smallHidden: Int
    public let allowSkip: Bool

    /// Weights start from N(0, 0.02²).
    /// - Parameters:
    ///   - configuration: of the transformer; `hiddenDimensions` is the big modules' width.
    ///   - smallHidden: width inside the small modules; a sixteenth of the big one's unless given.
    ///   - allowSkip: whether a token may pass a feed-forward by.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        _ configuration: PlainTransformerConfiguration, smallHidden: Int? = nil, allowSkip: Bool = false, generator: RandomGenerator? = nil
    ) {
        self.smallHidden = smallHidden ?? max(1, configuration.hiddenDimensions / 16)
        self.allowSkip = allowSkip
        super.init()
        base = PlainTransformer(configuration, generator: generator)
        for index in base.blocks.indices {
            base.blocks[index].feedForward = DuoFFN(
                dims: configuration.dimensions, bigHidden: configuration.hiddenDimensions, smallHidden: self.smallHidden,
                allowSkip: allowSkip, generator: generator)
        }
        base.initializeNormal(generator: generator)
    }

    public var vocabularySize: Int { base.vocabularySize }
    public var device: Device { base.device }
    public var contextLimit: Int? { base.contextLimit }
    public var layers: Int { base.blocks.count }

    /// The feed-forwards, first layer first.
    public var feedForwards: [DuoFFN] { base.blocks.compactMap { $0.feedForward as? DuoFFN } }

    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        base(tokens, mask: mask, state: &state, mode: mode)
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor { base.step(token, state: &state) }
    public func initialState(batch: Int) -> LanguageModelState { base.initialState(batch: batch) }
    public func stateBytes(batch: Int, length: Int) -> Int { base.stateBytes(batch: batch, length: length) }

    /// Logits `[B, T, V]` of tokens `[B, T]` (int64) that are routed like this.
    public func callAsFunction(_ tokens: Tensor, routes: DuoRoutes) -> Tensor {
        logits(tokens) { layer, feedForward, x in
            switch routes {
            case .random(let generator):
                let lowest: Int = feedForward.modules[0].rawValue
                return feedForward(
                    x,
                    choices: .randomIntegers(
                        Array(x.shape.dropLast()), low: lowest, high: DuoModule.big.rawValue + 1, device: x.device, generator: generator))
            case .fixed(let path):
                return feedForward(x, module: path.modules[layer])
            case .paths(let paths):
                return feedForward(x, choices: paths.selected(axis: 2, index: layer))
            case .router(let router):
                return feedForward(x, choices: router.choices(x, layer: layer))
            }
        }
    }

    /// Logits `[B, T, V]` with all modules mixed by a router, and the mean weight of the big ones over tokens and layers.
    /// - Parameters:
    ///   - tokens: `[B, T]`, int64.
    ///   - router: that gives the weights.
    ///   - temperature: factor of the router's logits.
    public func mixed(_ tokens: Tensor, router: BudgetRouter, temperature: Double) -> (logits: Tensor, bigShare: Tensor) {
        var shares: [Tensor] = []
        let logits: Tensor = logits(tokens) { layer, feedForward, x in
            let weights: Tensor = router.weights(x, layer: layer, temperature: temperature)
            shares.append(weights.selected(axis: -1, index: feedForward.modules.count - 1).mean())
            return feedForward.mixed(x, weights: weights)
        }
        return (logits, stacked(shares).mean())
    }

    private func logits(_ tokens: Tensor, feed: (Int, DuoFFN, Tensor) -> Tensor) -> Tensor {
        var x: Tensor = base.embedded(tokens)
        for (layer, (block, feedForward)) in zip(base.blocks, feedForwards).enumerated() {
            let mixed: Tensor = x + block.mixer(block.attentionNorm(x))
            x = mixed + feed(layer, feedForward, block.feedForwardNorm(mixed))
        }
        return base.logits(x)
    }
}

/// Cross-entropy of each token, `[B, T]`, in nats.
/// - Parameters:
///   - logits: `[B, T, V]`.
///   - targets: `[B, T]`, int64.
public func tokenLosses(_ logits: Tensor, _ targets: Tensor) -> Tensor {
    -logits.logSoftmax().gather(axis: -1, indices: targets.expandedDimensions(axis: -1)).squeezed(axis: -1)
}
