import NN
import SequenceModels
import Torch

/// The router that all mixtures of depths of a model share, for patches and text alike: `π = softmax(W x)₁`, how much a token needs the layer.
public final class SharedDepthRouter: Module {
    /// `D → 2`, without a bias.
    @ModuleInfo public var projection: Linear

    public init(_ dimensions: Int, generator: RandomGenerator? = nil) {
        super.init()
        projection = Linear(dimensions, 2, bias: false, generator: generator)
    }

    /// Logits `[..., 2]` of skipping and of running.
    public func callAsFunction(_ x: Tensor) -> Tensor { projection(x) }
}

/// Which tokens a ``MixtureOfDepthLayer`` runs.
public struct DepthRouting: Codable, Sendable, Equatable {
    /// Share of the image's tokens that run while training, c.
    public var capacity: Double
    /// Tokens of the image, which come first.
    public var imageTokens: Int
    /// Whether tokens of the text always run while training (masked routing learning).
    public var protectsText: Bool
    /// Tokens count their positions among those that run, as the authors' code does; they keep their own otherwise. Only rotary positions tell.
    public var compactPositions: Bool
    /// In evaluation a token runs where π is above it.
    public var threshold: Double
    /// Weight of the router's own loss.
    public var routerWeight: Double

    /// - Throws: `ConfigurationError` for a capacity or a threshold outside `0 ... 1`.
    public init(
        capacity: Double = 0.5, imageTokens: Int, protectsText: Bool = true, compactPositions: Bool = false, threshold: Double = 0.5,
        routerWeight: Double = 0.01
    ) throws {
        self.capacity = capacity
        self.imageTokens = imageTokens
        self.protectsText = protectsText
        self.compactPositions = compactPositions
        self.threshold = threshold
        self.routerWeight = routerWeight
        for (name, value) in [("capacity", capacity), ("threshold", threshold)] where !(0...1).contains(value) {
            throw ConfigurationError("\(name) is \(value); it has to lie in 0 ... 1")
        }
        guard imageTokens >= 0 else { throw ConfigurationError("imageTokens is \(imageTokens); it has to be at least 0") }
    }

    /// Tokens of a sequence that run while training: `⌈T (1 − (1 − c) n / T)⌉` for n tokens of an image, whether text is protected or not.
    public func kept(of length: Int) -> Int {
        let image: Int = min(length, imageTokens)
        // A last digit of (1 − c) n does not cost a token.
        return min(length, Int((Double(length) - (1 - capacity) * Double(image) - 1e-9).rounded(.up)))
    }
}

/// A block that some of the tokens pass by: the others attend among themselves and go through the feed-forward, whose output is scaled by π.
///
/// While training the tokens with the largest π run, as many as the capacity allows; in evaluation those with π above a threshold, which looks at no later
/// token. Those that are passed by come out as they went in, and leave nothing in the layer's cache. The router learns through π and by a loss of its
/// own: cross-entropy with the choice that was made.
///
/// Names in checkpoints: those of the block, and `router`.
public final class MixtureOfDepthLayer: Module, MixerBlock, HasAuxiliaryLoss {
    @ModuleInfo(key: "") public var base: PlainTransformerBlock
    @ModuleInfo public var router: SharedDepthRouter
    public var routing: DepthRouting
    /// Which tokens ran in the newest call, `[B, T]` (bool).
    public private(set) var kept: Tensor?
    private var routerLoss: Tensor?

    /// Shares the block's weights. Traps for a block whose mixer is no softmax attention to all earlier tokens.
    public init(base: PlainTransformerBlock, router: SharedDepthRouter, routing: DepthRouting) {
        self.routing = routing
        super.init()
        self.base = base
        self.router = router
        _ = base.softmaxAttention
    }

    public var mixer: any SequenceMixer { base.mixer }

    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?, mode: MixerMode? = nil) -> Tensor {
        let normed: Tensor = base.attentionNorm(x)
        let logits: Tensor = router(normed)
        let need: Tensor = logits.softmax().selected(axis: -1, index: 1)
        let chosen: ChosenTokens = isTraining ? largest(need.detached(), mask) : above(need.detached(), mask)
        let ran: Tensor = chosen.flags(length: x.dim(1))
        kept = ran
        if isTraining {
            routerLoss = crossEntropy(logits.flattened(from: 0, to: 1), ran.asType(.int64).flattened()) * routing.routerWeight
        }
        let output: Tensor = chosen.count == 0 ? x : run(x, normed, need, chosen, state: &state)
        if var next = state {
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        return output
    }

    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        var optional: MixerState? = state
        let output: Tensor = callAsFunction(x.expandedDimensions(axis: 1), state: &optional).squeezed(axis: 1)
        if let optional { state = optional }
        return output
    }

    public static func takeAuxiliaryLoss(of modules: [MixtureOfDepthLayer]) -> Tensor? {
        let terms: [Tensor] = modules.compactMap { module in
            defer { module.routerLoss = nil }
            return module.routerLoss
        }
        return terms.isEmpty ? nil : stacked(terms).sum()
    }

    // MARK: Choosing

    /// The tokens with the largest π, protected ones first.
    private func largest(_ need: Tensor, _ mask: Tensor?) -> ChosenTokens {
        let length: Int = need.dim(1)
        var score: Tensor = need
        if routing.protectsText {
            let positions: Tensor = .arange(length, device: need.device)
            score = score + (positions .>= routing.imageTokens).asType(need.dtype)
        }
        if let mask { score = which(mask .!= 0, score, -1.0) }
        let places: Tensor = score.topK(routing.kept(of: length), axis: 1).indices.sorted(axis: 1).values
        return ChosenTokens(places: places, real: mask.map { ($0 .!= 0).gather(axis: 1, indices: places) })
    }

    /// The tokens with π above the threshold; rows with fewer of them are filled up.
    private func above(_ need: Tensor, _ mask: Tensor?) -> ChosenTokens {
        var runs: Tensor = need .> routing.threshold
        if let mask { runs = runs .&& (mask .!= 0) }
        let counts: Tensor = runs.asType(.int64).sum(axis: 1)
        let most: Int = counts.max().item(Int.self)
        let order: Tensor = runs.asType(.int64).argSort(axis: 1, descending: true)
        let places: Tensor = order.narrowed(axis: 1, start: 0, length: most)
        let alike: Bool = counts.min().item(Int.self) == most
        return ChosenTokens(places: places, real: alike ? nil : runs.gather(axis: 1, indices: places))
    }

    // MARK: Running

    private func run(
        _ x: Tensor, _ normed: Tensor, _ need: Tensor, _ chosen: ChosenTokens, state: inout MixerState?
    ) -> Tensor {
        let attention: MultiHeadAttention = base.softmaxAttention
        let input: Tensor = chosen.taken(from: normed)
        let cache: KVRing = state?.kv ?? attention.initialCache()
        let positions: Tensor = routing.compactPositions ? compact(chosen, after: cache) : chosen.places + (state?.offset ?? 0)
        let seen: KVRing = cache.extended(
            keys: attention.keys(input, positions: positions), values: attention.values(input), mask: chosen.real)
        guard let keys = seen.keys, let values = seen.values else { preconditionFailure("an extended cache without keys") }
        let visible: Tensor? = seen.mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
        let heads: Tensor = softmaxAttention(
            attention.queries(input, positions: positions), keys, values, causal: true, mask: visible)
        state?.kv = seen.trimmed(compacting: chosen.real != nil)
        let before: Tensor = chosen.taken(from: x)
        let mixed: Tensor = before + attention.outputProjection(heads.flattened(from: 2))
        let scale: Tensor = need.gather(axis: 1, indices: chosen.places).expandedDimensions(axis: 2)
        return chosen.put(mixed + base.feedForward(base.feedForwardNorm(mixed)) * scale, before: before, into: x)
    }

    /// Positions among the tokens that run, `[B, count]`.
    private func compact(_ chosen: ChosenTokens, after cache: KVRing) -> Tensor {
        let own: Tensor = .arange(chosen.count, device: chosen.places.device)
        guard let mask = cache.mask else { return own.expandedDimensions(axis: 0) + cache.count }
        return own + (mask .!= 0).asType(.int64).sum(axis: 1, keepDims: true)
    }
}

/// Some of a batch's tokens, in the order of their positions.
private struct ChosenTokens {
    /// `[B, count]`, int64.
    let places: Tensor
    /// `[B, count]`, which are meant and not there to fill a row up; nil when all are.
    let real: Tensor?

    var count: Int { places.dim(1) }

    /// `[B, T, D]` to `[B, count, D]`.
    func taken(from x: Tensor) -> Tensor { x.takeAlong(places.expandedDimensions(axis: 2), axis: 1) }

    /// `x` with the chosen tokens replaced; what fills up stays as it was `before`.
    func put(_ tokens: Tensor, before: Tensor, into x: Tensor) -> Tensor {
        let index: Tensor = places.expandedDimensions(axis: 2).expanded(to: tokens.shape)
        return x.scatter(axis: 1, indices: index, source: real.map { which($0.expandedDimensions(axis: 2), tokens, before) } ?? tokens)
    }

    /// `[B, T]` (bool), true for the chosen.
    func flags(length: Int) -> Tensor {
        let none: Tensor = .zeros([places.dim(0), length], dtype: .int64, device: places.device)
        return none.scatter(axis: 1, indices: places, source: real?.asType(.int64) ?? places.onesLike()) .!= 0
    }
}
