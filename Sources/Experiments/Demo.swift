import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The two-minute tour: recall with four mixers, then a tiny language model.
public struct Demo {
    /// Training steps of each recall model; the language model takes as many.
    public let steps: Int
    public let seed: UInt64

    public init(steps: Int = 400, seed: UInt64 = 0) {
        self.steps = steps
        self.seed = seed
    }

    /// What the tour leaves: the tables and curves, and a text that the language model wrote.
    public struct Outcome: Sendable {
        public let recall: Report
        public let language: Report
        public let sample: String
    }

    /// - Parameter text: what the language model learns from; nil generates sentences.
    public func run(text: String? = nil, progress: @escaping @Sendable (String) -> Void) throws -> Outcome {
        let context: ExperimentContext = ExperimentContext(seeds: [seed], progress: progress, isCancelled: { Interrupt.isRequested })
        let recall: Report = try report("recall", "Six key–value pairs, each key asked for once: share of values recalled.") {
            try recallMeasurements(context)
        }
        var sample: String = ""
        let source: String = text == nil ? "generated sentences" : "the given text"
        let language: Report = try report("language model", "A GLA language model on characters of \(source).") {
            let (measurements, written) = try languageMeasurements(text ?? GeneratedText.sentences(4000, seed: seed), context)
            sample = written
            return measurements
        }
        return Outcome(recall: recall, language: language, sample: sample)
    }

    private func report(_ name: String, _ summary: String, _ measure: () throws -> Measurements) rethrows -> Report {
        let started: Date = Date()
        let measurements: Measurements = try measure()
        return Report(
            slug: name, summary: summary, scale: .smoke, seeds: [seed], started: started, seconds: Date().timeIntervalSince(started),
            measurements: measurements, criteria: Criteria(gates: [], claims: []))
    }

    private func recallMeasurements(_ context: ExperimentContext) throws -> Measurements {
        let task: AssociativeRecall = AssociativeRecall(keys: 6)
        let mixers: [(String, MixerConfiguration)] = [
            ("linear attention", MixerConfiguration(.linear, heads: 2, convolution: 4, rotary: false)),
            ("GLA", MixerConfiguration(.gla, heads: 2, expandKey: 1, convolution: 4)),
            ("DeltaNet", MixerConfiguration(.deltanet, heads: 2)),
            ("softmax", MixerConfiguration(.softmax, heads: 2)),
        ]
        var measurements: Measurements = Measurements()
        for (name, mixer) in mixers {
            let shape: LanguageModelConfiguration = try LanguageModelConfiguration(
                vocabularySize: AssociativeRecall.vocabularySize, dimensions: 64, layers: 2, mixer: mixer)
            let source: GeneratedBatches<TokenBatch> = task.source(rows: 32, seed: seed)
            let started: Date = Date()
            let (model, curve) = try LanguageModelTrial(name: name, configuration: shape)
                .train(on: source, steps: steps, learningRate: 3e-3, seed: seed, context: context)
            let seconds: Double = Date().timeIntervalSince(started)
            measurements.record(curve: curve)
            measurements.record(name, "recall accuracy", seed: seed, model.accuracy(task.heldOut(sequences: 512)))
            measurements.record(name, "parameters", seed: seed, Double(model.parameterCount))
            measurements.record(name, "tokens per second", seed: seed, Double(steps * source.itemsPerBatch) / seconds)
        }
        return measurements
    }

    private func languageMeasurements(_ text: String, _ context: ExperimentContext) throws -> (Measurements, sample: String) {
        let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: text)
        let length: Int = 128
        let (training, validation) = try TextCorpus(texts: [text]).split(with: tokenizer, contextLength: length)
        let shape: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: tokenizer.vocabularySize, dimensions: 96, layers: 2, mixer: MixerConfiguration(.gla, heads: 2))
        let (model, curve) = try LanguageModelTrial(name: "GLA", configuration: shape)
            .train(
                on: TextWindows(training, context: length, rows: 16, seed: seed), steps: steps, learningRate: 3e-3, seed: seed,
                context: context)
        let score: LanguageModelScore = model.score(TextWindows(validation, context: length, rows: 16, seed: 0))
        var measurements: Measurements = Measurements()
        measurements.record(curve: curve)
        measurements.record("GLA", "bits per character", seed: seed, score.bitsPerCharacter)
        measurements.record("GLA", "parameters", seed: seed, Double(model.parameterCount))
        let prompt: [Int] = Array(validation.prefix(16))
        let written: [Int] = model.generate(
            prompt: prompt, limit: 240, sampling: try SamplingConfiguration(temperature: 0.7, topK: 20, seed: seed))
        return (measurements, tokenizer.decode(prompt + written))
    }
}

/// Sentences of a small grammar, for a model to learn where no text is given.
enum GeneratedText {
    static func sentences(_ count: Int, seed: UInt64) -> String {
        var generator: SplitMix64 = SplitMix64(seed: seed)
        func pick(_ words: [String]) -> String { words[Int(generator.next(below: UInt64(words.count)))] }
        let animals: [String] = ["linnet", "heron", "otter", "badger", "lark", "marten"]
        let places: [String] = ["river", "meadow", "old mill", "orchard", "harbour"]
        let verbs: [String] = ["watches", "follows", "finds", "remembers", "forgets"]
        let times: [String] = ["At dawn", "In winter", "After the rain", "Every evening"]
        return (0..<count).map { _ in
            let first: String = pick(animals)
            return "\(pick(times)) the \(first) by the \(pick(places)) \(pick(verbs)) the \(pick(animals)), and the \(first) sings."
        }.joined(separator: "\n")
    }
}
