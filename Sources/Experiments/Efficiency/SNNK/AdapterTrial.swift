import Efficiency
import NN
import SequenceModels
import Torch
import Training

/// A sentence classifier: the mean of an encoder's last states through one affine layer.
final class SentenceClassifier: Module {
    let encoder: BertModel
    let head: Linear

    init(_ encoder: BertModel, classes: Int) {
        self.encoder = encoder
        head = Linear(encoder.configuration.dimensions, classes)
        super.init()
    }

    /// Logits `[B, classes]`.
    func callAsFunction(_ tokens: Tensor, mask: Tensor) -> Tensor { head(encoder(tokens, mask: mask).meanPooled) }
}

/// An encoder trained on questions, then frozen and adapted to sentiments by adapters of one kind and another.
struct AdapterTrial {
    let setting: SNNKSetting
    let seed: UInt64
    private let questions: TokenizedSentences
    private let sentiments: (train: TokenizedSentences, test: TokenizedSentences)
    private let vocabularySize: Int

    private static let rows: Int = 32

    init(_ setting: SNNKSetting, seed: UInt64) throws {
        self.setting = setting
        self.seed = seed
        let asked: Sentences = try .questions(limit: setting.sentences)
        let tokenizer: BPETokenizer = try .train(corpus: asked.texts, vocabularySize: setting.vocabularySize)
        questions = asked.encoded(tokenizer, length: setting.tokens)
        sentiments = (
            try Sentences.sentiments("train", limit: setting.sentences).encoded(tokenizer, length: setting.tokens),
            try Sentences.sentiments("test", limit: setting.sentences).encoded(tokenizer, length: setting.tokens)
        )
        vocabularySize = tokenizer.vocabularySize
    }

    /// The encoder trained on questions, with its loss.
    func encoder(context: ExperimentContext) throws -> (encoder: BertModel, curve: Measurements.Curve) {
        seedEverything(seed)
        let shape: BertConfiguration = try BertConfiguration(
            vocabularySize: vocabularySize, dimensions: setting.encoderDimensions, hiddenDimensions: 4 * setting.encoderDimensions,
            layers: setting.encoderLayers, heads: 4, maximumContext: setting.tokens)
        let model: SentenceClassifier = SentenceClassifier(BertModel(shape, hasPooler: false), classes: 6)
        let curve: Measurements.Curve = try train(
            model, "encoder on questions", questions, epochs: setting.questionEpochs, learningRate: 1e-3, context)
        return (model.encoder, curve)
    }

    /// What an encoder with adapters reaches, and the parameters of the adapters alone.
    struct Outcome {
        let accuracy: Double
        let parameters: Int
        /// Largest change of the frozen encoder's states by the adapters before they are trained.
        let firstChange: Double
        let curve: Measurements.Curve
    }

    /// Adapts a copy of the encoder; the head is trained in every case and not counted.
    /// - Parameter adapter: nil trains the head alone.
    func adapted(
        _ encoder: BertModel, _ name: String, context: ExperimentContext, adapter: ((Int) -> any UnaryLayer)?
    ) throws -> Outcome {
        let copy: BertModel = BertModel(encoder.configuration, hasPooler: false)
        try copy.load(Dictionary(uniqueKeysWithValues: encoder.stateTensors()))
        seedEverything(seed)
        copy.freeze()
        if let adapter { copy.insertAdapters(adapter) }
        let sample: (tokens: Tensor, mask: Tensor, labels: Tensor) = sentiments.train.batch(0..<8).tensors()
        let change: Double = noGrad {
            (copy(sample.tokens, mask: sample.mask).meanPooled - encoder(sample.tokens, mask: sample.mask).meanPooled).abs().max().item()
        }
        let parameters: Int = copy.trainableParameters().reduce(0) { $0 + $1.count }
        let model: SentenceClassifier = SentenceClassifier(copy, classes: 2)
        let curve: Measurements.Curve = try train(
            model, name, sentiments.train, epochs: setting.sentimentEpochs, learningRate: 3e-3, context)
        return Outcome(accuracy: accuracy(model), parameters: parameters, firstChange: change, curve: curve)
    }

    private func train(
        _ model: SentenceClassifier, _ name: String, _ data: TokenizedSentences, epochs: Int, learningRate: Double,
        _ context: ExperimentContext
    ) throws -> Measurements.Curve {
        try context.checkCancellation()
        let steps: Int = epochs * (data.labels.count / Self.rows)
        context.progress("\(name), seed \(seed): \(steps) steps")
        let training: TrialTraining = TrialTraining(steps: steps, learningRate: learningRate, seed: seed)
        return try training.optimize(model, named: name, on: data.source(rows: Self.rows, seed: seed)) { batch in
            let (tokens, mask, labels): (Tensor, Tensor, Tensor) = batch.tensors()
            return crossEntropy(model(tokens, mask: mask), labels)
        }
    }

    private func accuracy(_ model: SentenceClassifier) -> Double {
        let right: Int = noGrad {
            sentiments.test.batches(rows: 64).reduce(0) { sum, batch in
                let (tokens, mask, labels): (Tensor, Tensor, Tensor) = batch.tensors()
                return sum + (model(tokens, mask: mask).argMax(axis: 1) .== labels).sum().item(Int.self)
            }
        }
        return Double(right) / Double(sentiments.test.labels.count)
    }
}
