import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct SMETimesTests {
    private let data: ForecastProtocol
    private let backbone: LanguageModel

    init() throws {
        data = try Waves.protocolled()
        seedEverything(2)
        backbone = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 256, dimensions: 16, layers: 2, mixer: MixerConfiguration(.softmax, heads: 2)))
        // Larger than a language model starts, so that every path counts.
        backbone.initialize { module, name in module is Linear ? .normal(standardDeviation: 0.3) : nil }
        backbone.train(false)
    }

    private func model(
        fusion: SMETimesConfiguration.Fusion = .adaptive, experts: Int = 3, horizon: Int = 12, source: PromptSource = .ownColumn,
        usesBody: Bool = true, encoder: SMETimesConfiguration.SegmentEncoder = .linear, balance: Double = 0.01
    ) throws -> SMETimes {
        let configuration: SMETimesConfiguration = try SMETimesConfiguration(
            lookback: 48, horizon: horizon, segment: 12, experts: experts, balance: balance, fusion: fusion, encoder: encoder,
            promptSource: source, usesBody: usesBody)
        // A generator of its own: the shared one serves the tests that run beside this one, too.
        let model: SMETimes = SMETimes(
            configuration, backbone: backbone, tokenizer: ByteTokenizer(), generator: RandomGenerator(seed: 4, device: .cpu))
        model.prepare(for: data.data)
        model.train(false)
        return model
    }

    private func windows(horizon: Int = 12) throws -> ForecastWindows { try data.windows(.train, lookback: 48, horizon: horizon) }

    // MARK: Prompts

    @Test func promptsTellTheStatistics() {
        let prompt: StatisticalPrompt = StatisticalPrompt { "day \($0)" }
        #expect(
            prompt.text(segment: [1, 2, 6], start: 5)
                == "from day 5 to day 7; deviation 2.1602; change 5.0000; mean 3.0000")
        #expect(prompt.text(segment: [-0.5, -0.5], start: 0).hasSuffix("deviation 0.0000; change 0.0000; mean -0.5000"))
    }

    @Test func promptsAreOfRawSegmentsAndTheirDates() throws {
        var read: [String] = []
        let cache: PromptEmbeddingCache = PromptEmbeddingCache(data.data, segment: 12, source: .ownColumn) { texts in
            read += texts
            return .zeros([texts.count, 4])
        }
        #expect(cache.embeddings(starts: [24, 36], segments: 2).shape == [2, 3, 2, 4])
        // Segments 24, 36 and 48 of three variables, each once.
        #expect(cache.count == 9 && read.count == 9)
        let raw: [Double] = (24..<36).map { Double(data.data.series.values[$0 * 3 + 1]) }
        let mean: String = String(format: "%.4f", raw.reduce(0, +) / 12)
        #expect(read.contains { $0.hasPrefix("from 2020-01-02 00:00:00 to 2020-01-02 11:00:00;") && $0.hasSuffix("mean \(mean)") })
        // Predictions are read anew each time, in the series' units.
        let predicted: Tensor = .zeros([1, 12, 3])
        _ = cache.embeddings(predicted: predicted, starts: [400])
        _ = cache.embeddings(predicted: predicted, starts: [400])
        #expect(cache.count == 9 && read.count == 15)
        let level: String = String(format: "mean %.4f", data.data.scaler.mean[0])
        #expect(read[9].hasPrefix("from 2020-01-17 16:00:00") && read[9].hasSuffix(level))
    }

    @Test func theLastColumnMaySpeakForAll() throws {
        let own: Tensor = try #require(try model().promptEmbeddings([0]))
        let last: Tensor = try #require(try model(source: .lastColumn).promptEmbeddings([0]))
        #expect(last.selected(axis: 1, index: 0).isEqual(to: last.selected(axis: 1, index: 2)))
        #expect(scaledError(last.selected(axis: 1, index: 2), own.selected(axis: 1, index: 2)) < 1e-5)
        #expect(scaledError(own.selected(axis: 1, index: 0), own.selected(axis: 1, index: 2)) > 1e-3)
    }

    /// A prompt among longer ones, whose padding it must not see, gives what it gives alone.
    @Test func promptsAreReadAtTheirLastToken() {
        let reader: PromptEncoder = PromptEncoder(model: backbone, tokenizer: ByteTokenizer())
        let texts: [String] = ["a longer prompt than the others", "short", "of middling length", "x"]
        let together: Tensor = reader.encode(texts)
        for (index, text) in texts.enumerated() {
            #expect(scaledError(together.selected(axis: 0, index: index), reader.encode([text]).selected(axis: 0, index: 0)) < 1e-4)
        }
        #expect(!together.requiresGrad)
    }

    // MARK: Fusion and experts

    @Test func fusionAtItsEndsIsOneOfTheTwo() {
        let (time, prompt): (Tensor, Tensor) = (.normal([2, 3, 8]), .normal([2, 3, 8]))
        for fusion in [AdaptiveFusion(), AdaptiveFusion(channels: 8)] {
            #expect(fusion(time: time, prompt: prompt).isClose(to: (time + prompt) / 2, relative: 1e-5, absolute: 1e-6))
            fusion.update(parameters: ["logit": .full(fusion.logit.shape, 200.0)])
            #expect(fusion(time: time, prompt: prompt).isEqual(to: time))
            fusion.update(parameters: ["logit": .full(fusion.logit.shape, -200.0)])
            #expect(fusion(time: time, prompt: prompt).isEqual(to: prompt))
        }
    }

    @Test func promptsHaveNoInfluenceWhereTimeHasAllTheWeight() throws {
        let model: SMETimes = try model(balance: 0)
        let input: ForecastInput = try windows().batch([3, 90]).tensors().input
        var elsewhere: ForecastInput = input
        elsewhere.starts = [60, 7]
        func differ() -> Bool { noGrad { !model.forecast(input).isEqual(to: model.forecast(elsewhere)) } }
        #expect(differ())
        model.fusion?.update(parameters: ["logit": Tensor(200.0, dtype: .float32)])
        #expect(!differ())
        // And the other way round: the numbers count no longer, but for the window's scale.
        model.fusion?.update(parameters: ["logit": Tensor(-200.0, dtype: .float32)])
        let prompts: Tensor? = model.promptEmbeddings([3])
        let (one, other): (Tensor, Tensor) = (.normal([1, 3, 4, 12]), .normal([1, 3, 4, 12]))
        let found: [Tensor] = [one, other].map { x in noGrad { model.nextSegments(normalized: x, prompts: prompts).segments } }
        #expect(found[0].isEqual(to: found[1]))
    }

    @Test func equalExpertsAreOne() {
        let (many, one): (DenseMoE, DenseMoE) = (DenseMoE(8, experts: 4), DenseMoE(8, experts: 1))
        let expert: Tensor = one.experts.detached()
        many.update(parameters: ["experts": expert.expanded(to: [4, 8, 8]).contiguous()])
        let x: Tensor = .normal([2, 5, 8])
        #expect(many(x).output.isClose(to: one(x).output, relative: 1e-4, absolute: 1e-5))
        #expect(one(x).output.isClose(to: x.matmul(expert.selected(axis: 0, index: 0).mT), relative: 1e-4, absolute: 1e-5))
        #expect(many(x).weights.sum(axis: -1).isClose(to: .ones([2, 5]), relative: 1e-5))
    }

    @Test func imbalanceIsZeroForEqualUse() {
        #expect(abs(DenseMoE.imbalance(.full([6, 4], 0.25)).item(Double.self)) < 1e-6)
        // One expert alone: K p² − 1 = 4 − 1.
        #expect(abs(DenseMoE.imbalance(Tensor([1, 0, 0, 0] as [Float], [1, 4])).item(Double.self) - 3) < 1e-6)
    }

    // MARK: The forecaster

    /// On the window's own scale, what follows a segment does not depend on later segments.
    @Test func laterSegmentsAreNotSeen() throws {
        let model: SMETimes = try model()
        let prompts: Tensor? = model.promptEmbeddings([0])
        let segments: Tensor = .normal([1, 3, 4, 12])
        let changed: Tensor = segments.cloned()
        changed[0..., 0..., 2] = Tensor.normal([1, 3, 12])
        let (found, expected): (Tensor, Tensor) = noGrad {
            (
                model.nextSegments(normalized: changed, prompts: prompts).segments,
                model.nextSegments(normalized: segments, prompts: prompts).segments
            )
        }
        func at(_ x: Tensor, _ index: Int) -> Tensor { x.selected(axis: 2, index: index) }
        for index in 0..<2 { #expect(scaledError(at(found, index), at(expected, index)) < 1e-6) }
        for index in 2..<4 { #expect(scaledError(at(found, index), at(expected, index)) > 1e-4) }
    }

    @Test func twoSegmentsAreTwoForecasts() throws {
        let (long, short): (SMETimes, SMETimes) = (try model(horizon: 24), try model(horizon: 12))
        let input: ForecastInput = try windows(horizon: 24).batch([5, 40]).tensors().input
        let whole: Tensor = noGrad { long.forecast(input) }
        let first: Tensor = noGrad { short.forecast(input) }
        #expect(whole.shape == [2, 24, 3] && scaledError(whole.narrowed(axis: 1, start: 0, length: 12), first) < 1e-5)
        // By hand: the window one segment on, and the prompts of its known segments with that of the predicted one.
        let window: Tensor = concatenated([input.values.narrowed(axis: 1, start: 12, length: 36), first], axis: 1)
        let known: Tensor = try #require(short.promptEmbeddings(input.starts)).narrowed(axis: 2, start: 1, length: 3)
        let reader: PromptEncoder = PromptEncoder(model: backbone, tokenizer: ByteTokenizer())
        let cache: PromptEmbeddingCache = PromptEmbeddingCache(data.data, segment: 12, source: .ownColumn, encode: reader.encode)
        let made: Tensor = cache.embeddings(predicted: first, starts: input.starts.map { $0 + 48 }).expandedDimensions(axis: 2)
        let second: Tensor = noGrad {
            short.nextSegments(window, prompts: concatenated([known, made], axis: 2)).segments.selected(axis: 2, index: 3).mT
        }
        #expect(scaledError(whole.narrowed(axis: 1, start: 12, length: 12), second) < 1e-4)
    }

    /// What lies behind the window changes nothing: neither values nor prompts of the future are read.
    @Test func theFutureIsNotRead() throws {
        let input: ForecastInput = try windows(horizon: 24).batch([5]).tensors().input
        let expected: Tensor = noGrad { try? model(horizon: 24).forecast(input) } ?? .zeros([1])
        var values: [Float] = data.data.series.values
        for index in (5 + 48) * 3..<values.count { values[index] = 1000 }
        let other: ForecastSeries = try ForecastSeries(
            TimeSeries(names: data.data.series.names, dates: data.data.series.dates, values: values), scaler: data.data.scaler)
        let blind: SMETimes = try model(horizon: 24)
        blind.prepare(for: other)
        #expect(scaledError(noGrad { blind.forecast(input) }, expected) < 1e-5)
    }

    @Test func trainingLeavesTheLanguageModelAlone() throws {
        let model: SMETimes = try model(encoder: .mlp)
        let before: [Tensor] = backbone.parameters().map { $0.detached().cloned() }
        let training: ForecastTraining = ForecastTraining(
            optimizer: .adamw(try AdamWConfiguration(learningRate: 3e-3)), trainer: try TrainerConfiguration(steps: 40, seed: 1), rows: 8)
        let result: TrainingResult = try training.run(model, train: try windows(), outlet: TrainingOutlet(progress: .quiet))
        #expect(zip(backbone.parameters(), before).allSatisfy { $0.isEqual(to: $1) })
        let (first, last): (Double, Double) = (result.losses.prefix(5).reduce(0, +), result.losses.suffix(5).reduce(0, +))
        #expect(last < 0.7 * first)
        #expect(model.trainableParameters().count + backbone.parameters().count == model.parameters().count)
        #expect(!backbone.isTraining)
    }

    /// Prompts by a sentence encoder: read once, brought to the backbone's width by a layer that is trained, kept with the forecaster.
    @Test func aSentenceEncoderReadsThePrompts() throws {
        try TestPaths.withTemporaryFolder { folder in
            try WordPieceDocument.make(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "from", "mean", "1", "2", "##0", "."]).write(
                to: folder.appendingPathComponent("tokenizer.json"))
            let bert: BertModel = TransformerTests.randomized(
                BertModel(
                    try BertConfiguration(vocabularySize: 10, dimensions: 8, hiddenDimensions: 8, layers: 1, heads: 2), hasPooler: false))
            bert.to(dtype: .float32)
            let encoder: BertSentenceEncoder = try BertSentenceEncoder(
                model: bert, tokenizer: try WordPieceTokenizer(contentsOf: folder, wholeTexts: true))
            let shape: ForecasterConfiguration = ForecasterConfiguration(
                .smetimes, lookback: 48, horizon: 12, segment: 12, backbone: backbone.configuration, promptEncoder: bert.configuration)
            let model: SMETimes = try #require(try shape.make(tokenizer: ByteTokenizer(), promptEncoder: encoder) as? SMETimes)
            model.prepare(for: data.data)
            #expect(try #require(model.promptEmbeddings([3, 40])).shape == [2, 3, 4, 8])
            #expect(model.promptProjection?.weight.shape == [16, 8])
            let before: [Tensor] = try #require(model.promptProjection).parameters().map { $0.detached().cloned() }
            let frozen: [Tensor] = bert.parameters().map { $0.detached().cloned() }
            let training: ForecastTraining = ForecastTraining(
                optimizer: .adamw(try AdamWConfiguration(learningRate: 3e-3)), trainer: try TrainerConfiguration(steps: 5, seed: 1), rows: 8
            )
            try training.run(model, train: try windows(), outlet: TrainingOutlet(progress: .quiet))
            #expect(zip(try #require(model.promptProjection).parameters(), before).allSatisfy { !$0.isEqual(to: $1) })
            #expect(zip(bert.parameters(), frozen).allSatisfy { $0.isEqual(to: $1) })
            model.train(false)

            let bundle: ForecastBundle = ForecastBundle(
                description: ForecastBundle.Description(forecaster: shape, data: data.data), forecaster: model, tokenizer: ByteTokenizer(),
                promptEncoder: encoder)
            try bundle.save(to: folder.appendingPathComponent("run"))
            let read: ForecastBundle = try ForecastBundle.load(from: folder.appendingPathComponent("run"))
            read.forecaster.prepare(for: data.data)
            let input: ForecastInput = try windows().batch([5]).tensors().input
            #expect(noGrad { read.forecaster.forecast(input) }.isEqual(to: noGrad { model.forecast(input) }))
            #expect(throws: ConfigurationError.self) { try shape.make(tokenizer: ByteTokenizer()) }
        }
    }

    @Test func everySegmentIsATarget() throws {
        let model: SMETimes = try model(balance: 0)
        let (input, target): (ForecastInput, Tensor) = try windows().batch([5, 40]).tensors()
        let found: Double = noGrad { model.loss(input, target: target) }.item()
        let next: Tensor = noGrad { model.nextSegments(input.values, prompts: model.promptEmbeddings(input.starts)).segments }
        // Segment i is trained on segment i + 1, the last on the steps after the window.
        var sum: Double = 0
        for index in 0..<4 {
            let wanted: Tensor = index < 3 ? input.values.narrowed(axis: 1, start: 12 * (index + 1), length: 12) : target
            sum += meanSquaredError(next.selected(axis: 2, index: index).mT, wanted).item(Double.self) / 4
        }
        #expect(abs(found - sum) < 1e-5 * max(1, sum))
        let moved: Double = noGrad { model.loss(input, target: target, offset: .full([2, 1, 3], 100.0)) }.item()
        #expect(moved > 9000)
    }

    @Test func badSettingsAreErrors() {
        #expect(throws: ConfigurationError.self) { try SMETimesConfiguration(lookback: 100, segment: 48) }
        #expect(throws: ConfigurationError.self) { try SMETimesConfiguration(lookback: 96, horizon: 24, segment: 48) }
        #expect(throws: ConfigurationError.self) { try SMETimesConfiguration(experts: 0) }
        #expect(throws: ConfigurationError.self) { try SMETimesConfiguration(balance: -1) }
    }
}
