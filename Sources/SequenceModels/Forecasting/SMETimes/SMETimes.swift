import NN
import Torch
import Training

/// Forecasts with a small language model that stays as it is: segments of a series become its tokens, told together with a prompt on what
/// normalisation takes away (SMETimes, 2025).
///
/// Each variable by itself: the window, on its own scale, is cut into segments of τ steps. A segment's token is fused from its numbers
/// (``SegmentEncoder``) and from the embedding of its ``StatisticalPrompt``, whose statistics are in the series' units. The frozen language
/// model reads the tokens, ``DenseMoE`` and a linear head turn each hidden state into the *next* segment. Horizons above τ go on from the
/// predicted segments, whose prompts tell the predictions' statistics: nothing of the future is read.
///
/// It reads prompts of the series that ``prepare(for:)`` names, once each.
public final class SMETimes: Module, Forecaster {
    public let configuration: SMETimesConfiguration
    @ModuleInfo public var encoder: SegmentEncoder
    @ModuleInfo public var fusion: AdaptiveFusion?
    @ModuleInfo public var backbone: LanguageModel
    @ModuleInfo public var experts: DenseMoE
    @ModuleInfo public var head: Linear
    /// From a sentence encoder's embeddings to the language model's width.
    @ModuleInfo(key: "prompt_projection") public var promptProjection: Linear?
    private let tokenizer: any Tokenizer
    private let promptEncoder: BertSentenceEncoder?
    private var prompts: PromptEmbeddingCache?
    private var data: ForecastSeries?

    public var lookback: Int { configuration.lookback }
    public var horizon: Int { configuration.horizon }

    /// - Parameters:
    ///   - configuration: segments, fusion, experts.
    ///   - backbone: causal; its parameters are frozen.
    ///   - tokenizer: the backbone's.
    ///   - promptEncoder: reads the prompts in the backbone's place; a linear layer, which is trained, brings its embeddings to the backbone's
    ///     width. It stays as it is, and is no part of this module's parameters.
    ///   - generator: of the other parameters' start; nil takes the shared one.
    public init(
        _ configuration: SMETimesConfiguration, backbone: LanguageModel, tokenizer: any Tokenizer,
        promptEncoder: BertSentenceEncoder? = nil, generator: RandomGenerator? = nil
    ) {
        let (c, width): (SMETimesConfiguration, Int) = (configuration, backbone.configuration.dimensions)
        self.configuration = c
        self.tokenizer = tokenizer
        self.promptEncoder = promptEncoder
        super.init()
        encoder = SegmentEncoder(c.segment, width, kind: c.encoder, generator: generator)
        switch c.fusion {
        case .adaptive: fusion = AdaptiveFusion()
        case .adaptiveChannels: fusion = AdaptiveFusion(channels: width)
        case .sum, .timeOnly: fusion = nil
        }
        self.backbone = backbone
        backbone.freeze()
        experts = DenseMoE(width, experts: c.experts, generator: generator)
        head = Linear(width, c.segment, generator: generator)
        promptProjection = promptEncoder.map { Linear($0.dimensions, width, generator: generator) }
    }

    /// Keeps the series whose prompts are read; prompts that were read for another one are dropped.
    public func prepare(for series: ForecastSeries) {
        if let data, data.series == series.series, data.scaler == series.scaler { return }
        data = series
        prompts = PromptEmbeddingCache(
            series, segment: configuration.segment, source: configuration.promptSource,
            encode: promptEncoder?.encode ?? PromptEncoder(model: backbone, tokenizer: tokenizer).encode)
    }

    /// Uses what another forecaster with the same reader of prompts has read already.
    public func sharePrompts(of other: SMETimes) { (data, prompts) = (other.data, other.prompts) }

    // MARK: Prediction

    /// The next segment after every segment of the windows, standardised, `[B, N, m, τ]`.
    /// - Parameters:
    ///   - values: `[B, L, N]`.
    ///   - prompts: their reader's embeddings, `[B, N, m, D]` or of the sentence encoder's width; nil without prompts.
    func nextSegments(_ values: Tensor, prompts: Tensor?) -> (segments: Tensor, weights: Tensor) {
        let scale: WindowNormalization = WindowNormalization(values)
        let (normalized, weights): (Tensor, Tensor) = nextSegments(normalized: segmented(scale.normalized(values)), prompts: prompts)
        return (normalized * segmentScale(scale.deviation) + segmentScale(scale.mean), weights)
    }

    /// `[B, 1, N]` for segments `[B, N, m, τ]`.
    private func segmentScale(_ statistic: Tensor) -> Tensor { statistic.mT.expandedDimensions(axis: 3) }

    /// On the windows' own scale: segments `[B, N, m, τ]` to the segments after them.
    func nextSegments(normalized segments: Tensor, prompts: Tensor?) -> (segments: Tensor, weights: Tensor) {
        // Dropout and the like belong to whoever trains the language model.
        if backbone.isTraining { backbone.train(false) }
        let tokens: Tensor = fused(encoder(segments), prompts)
        let rows: Tensor = tokens.flattened(from: 0, to: 1)
        var state: LanguageModelState?
        let hidden: Tensor = configuration.usesBody ? backbone.hidden(embedded: rows, state: &state) : rows
        let (answers, weights): (Tensor, Tensor) = experts(hidden)
        return (head(answers).reshaped(segments.shape), weights)
    }

    private func fused(_ time: Tensor, _ prompts: Tensor?) -> Tensor {
        guard let prompts, configuration.fusion != .timeOnly else { return time }
        let told: Tensor = promptProjection.map { $0(prompts) } ?? prompts
        return fusion.map { $0(time: time, prompt: told) } ?? time + told
    }

    /// `[B, L, N]` as segments `[B, N, m, τ]`.
    private func segmented(_ values: Tensor) -> Tensor {
        values.mT.reshaped(values.dim(0), values.dim(2), -1, configuration.segment)
    }

    /// Embeddings of the prompts of windows of the series, `[B, N, m, D]`; nil where no prompts are used.
    func promptEmbeddings(_ starts: [Int]) -> Tensor? {
        if configuration.fusion == .timeOnly { return nil }
        guard let prompts else { preconditionFailure("SMETimes: prepare(for:) has to name the series before its windows are read") }
        return prompts.embeddings(starts: starts, segments: configuration.segments)
    }

    public func forecast(_ input: ForecastInput) -> Tensor {
        let (c, length): (SMETimesConfiguration, Int) = (configuration, configuration.segment)
        var window: Tensor = input.values
        var embeddings: Tensor? = promptEmbeddings(input.starts)
        var pieces: [Tensor] = []
        for piece in 0..<(c.horizon + length - 1) / length {
            if let last = pieces.last {
                window = concatenated([window.narrowed(axis: 1, start: length, length: c.lookback - length), last], axis: 1)
                let starts: [Int] = input.starts.map { $0 + c.lookback + (piece - 1) * length }
                embeddings = embeddings.map { shifted($0, predicted: last, starts: starts) }
            }
            let next: Tensor = nextSegments(window, prompts: embeddings).segments
            pieces.append(next.selected(axis: 2, index: c.segments - 1).mT)
        }
        return concatenated(pieces, axis: 1).narrowed(axis: 1, start: 0, length: c.horizon)
    }

    /// The embeddings one segment later: without the oldest, and with that of a predicted segment `[B, τ, N]`.
    private func shifted(_ embeddings: Tensor, predicted: Tensor, starts: [Int]) -> Tensor {
        guard let prompts else { return embeddings }
        let newest: Tensor = prompts.embeddings(predicted: predicted, starts: starts).expandedDimensions(axis: 2)
        return concatenated([embeddings.narrowed(axis: 2, start: 1, length: configuration.segments - 1), newest], axis: 2)
    }

    // MARK: Training

    public func loss(_ input: ForecastInput, target: Tensor) -> Tensor { loss(input, target: target, offset: nil) }

    /// The mean squared error of the next segment at every position, and λ times the experts' imbalance.
    /// - Parameters:
    ///   - input: the windows.
    ///   - target: the steps after them, of which the first segment is used.
    ///   - offset: `[B, 1, N]`, added to what is wanted.
    public func loss(_ input: ForecastInput, target: Tensor, offset: Tensor?) -> Tensor {
        let length: Int = configuration.segment
        let shifted: Tensor = concatenated(
            [
                input.values.narrowed(axis: 1, start: length, length: configuration.lookback - length),
                target.narrowed(axis: 1, start: 0, length: length),
            ], axis: 1)
        let wanted: Tensor = segmented(offset.map { shifted + $0 } ?? shifted)
        let (segments, weights): (Tensor, Tensor) = nextSegments(input.values, prompts: promptEmbeddings(input.starts))
        let error: Tensor = meanSquaredError(segments, wanted)
        return configuration.balance == 0 ? error : error + DenseMoE.imbalance(weights) * configuration.balance
    }
}

/// A segment's numbers as a token, `[..., τ]` to `[..., D]`.
public final class SegmentEncoder: Module {
    @ModuleInfo public var layers: MLP

    public init(_ segment: Int, _ dimensions: Int, kind: SMETimesConfiguration.SegmentEncoder, generator: RandomGenerator? = nil) {
        super.init()
        let widths: [Int] = kind == .linear ? [segment, dimensions] : [segment, 256, dimensions]
        layers = MLP(widths, activation: .tanh, generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { layers(x) }
}
