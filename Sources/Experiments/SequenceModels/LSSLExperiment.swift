import NN
import SequenceModels
import Torch
import Training

/// Long memory by HiPPO matrices, on digits read pixel by pixel and on raw speech, and transfer to another sampling rate (arXiv 2110.13985).
///
/// The recordings are trained on for two epochs at small scale, where the specification has six: one epoch of their 4096 steps takes a minute or
/// more for each of six methods.
public struct LSSLExperiment: Experiment {
    public static let slug: String = "lssl"
    public static let summary: String =
        "LSSL with HiPPO-LegS beside a random state matrix and a GRU on sequential MNIST (14 x 14); on raw spoken digits also an LSTM and a CNN, and at half the sampling rate."

    private static let pixels: String = "pixel accuracy"
    private static let speech: String = "speech accuracy"
    private static let slowed: String = "speech accuracy at half the rate, Δ doubled"
    private static let unadapted: String = "speech accuracy at half the rate, Δ unchanged"
    private static let parameters: String = "parameters"
    private static let divergence: String = "training overflowed (1 = yes)"
    private static let agreement: String = "convolution against recurrence (relative)"

    private static let legs: String = "LSSL-f, LegS"
    private static let random: String = "LSSL-f, random A"
    private static let legsSpeech: String = "LSSL, LegS (speech)"
    private static let fixedSpeech: String = "LSSL-f, LegS (speech)"
    private static let randomSpeech: String = "LSSL-f, random A (speech)"
    private static let gruSpeech: String = "GRU (speech)"
    private static let lstmSpeech: String = "LSTM (speech)"
    private static let convolutionSpeech: String = "1-D CNN (speech)"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained LSSL's convolution and recurrence agree to 1e-3") { $0[legs, agreement] <= 1e-3 },
            Gate("no LSSL with HiPPO's A overflows") { seed in [legs, legsSpeech, fixedSpeech].allSatisfy { seed[$0, divergence] == 0 } },
            Gate("LegS and random A have the same number of parameters") { $0[legs, parameters] == $0[random, parameters] },
        ],
        claims: [
            Claim("pixels: LegS accuracy", atLeast: 0.75) { $0[legs, pixels] },
            Claim("pixels: LegS above random A", atLeast: 0.20) { $0[legs, pixels] - $0[random, pixels] },
            Claim("speech: LSSL accuracy", atLeast: 0.60) { $0[legsSpeech, speech] },
            Claim("speech: LSSL above a GRU of as many parameters", atLeast: 0.20) { $0[legsSpeech, speech] - $0[gruSpeech, speech] },
            Claim("speech: LegS above random A, both fixed", atLeast: 0.20) { $0[fixedSpeech, speech] - $0[randomSpeech, speech] },
            Claim("half the sampling rate with Δ doubled: accuracy gained", atLeast: -0.10) { transfer($0, slowed) },
            Claim("half the sampling rate with Δ unchanged: accuracy lost", atLeast: 0.20) { -transfer($0, unadapted) },
        ])

    /// Change of the trained model's accuracy, where it had learned enough to lose some.
    private static func transfer(_ seed: SeedMeasurements, _ metric: String) -> Double {
        seed[legsSpeech, speech] >= 0.60 ? seed[legsSpeech, metric] - seed[legsSpeech, speech] : .nan
    }

    private let data: DataDirectory

    public init() { self.init(data: .standard) }

    init(data: DataDirectory) { self.data = data }

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try readPixels(scale, seed, context, &measurements)
            try hear(scale, seed, context, &measurements)
        }
        return measurements
    }

    // MARK: Sequential MNIST

    private func readPixels(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let folder: String = try data.locate("mnist")
        let train: SequenceDataset = try Self.pixels(.train, folder: folder, count: scale == .smoke ? 60 : 5000)
        let test: SequenceDataset = try Self.pixels(.test, folder: folder, count: scale == .smoke ? 40 : 1500)
        let settings: ClassifierTrial.Settings =
            scale == .smoke
            ? ClassifierTrial.Settings(steps: 2, rows: 50, learningRate: 4e-3)
            : .epochs(scale == .full ? 20 : 4, over: train, rows: 50, learningRate: 4e-3)
        let layer: LSSLConfiguration = try LSSLConfiguration(features: 32, order: 32, transition: .fixed)
        let size: (classes: Int, layers: Int) = (10, 2)
        for trial in [
            lssl(Self.legs, layer, size, seed: seed), lssl(Self.random, layer, size, randomA: true, seed: seed),
            gru("GRU", width: 32, seed: seed),
        ] {
            try run(trial, train, settings, seed, context, &measurements)
            measurements.record(trial.name, Self.pixels, seed: seed, trial.accuracy(test, rows: 250))
            if trial.name == Self.legs { measurements.record(trial.name, Self.agreement, seed: seed, disagreement(trial, test)) }
        }
    }

    /// With the mean and deviation of all of MNIST's pixels.
    private static func pixels(_ part: MNIST.Part, folder: String, count: Int) throws -> SequenceDataset {
        try SequenceDataset.sequentialDigits(part, folder: folder, limit: count).standardized(mean: 0.1307, deviation: 0.3081)
    }

    /// Largest difference between the first layer's forms over its largest output.
    private func disagreement(_ trial: ClassifierTrial, _ data: SequenceDataset) -> Double {
        guard let model = trial.model as? LSSLClassifier, let layer = model.layers.first else { return .infinity }
        return noGrad {
            let x: Tensor = model.encoder(data.batch(0..<8).tensors().inputs)
            let stepped: Tensor = layer(x, mode: .recurrent)
            return ((layer(x, mode: .parallel) - stepped).abs().max() / stepped.abs().max()).item()
        }
    }

    // MARK: Spoken digits

    private func hear(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let (all, held): (SequenceDataset, SequenceDataset) = try SequenceDataset.spokenDigits(
            folder: data.locate("fsdd"), length: scale == .smoke ? 256 : 4096)
        let (train, test): (SequenceDataset, SequenceDataset) = scale == .smoke ? (all.spread(40), held.spread(40)) : (all, held)
        let settings: ClassifierTrial.Settings =
            scale == .smoke
            ? ClassifierTrial.Settings(steps: 2, rows: 32, learningRate: 3e-3)
            : .epochs(scale == .full ? 6 : 2, over: train, rows: 32, learningRate: 3e-3)
        for trial in try speechTrials(seed: seed) {
            try run(trial, train, settings, seed, context, &measurements)
            measurements.record(trial.name, Self.speech, seed: seed, trial.accuracy(test, rows: 50))
            guard trial.name == Self.legsSpeech, let model = trial.model as? LSSLClassifier else { continue }
            measurements.record(trial.name, Self.unadapted, seed: seed, trial.accuracy(test.decimated(2), rows: 50))
            model.rate = 2
            measurements.record(trial.name, Self.slowed, seed: seed, trial.accuracy(test.decimated(2), rows: 50))
        }
    }

    private func speechTrials(seed: UInt64) throws -> [ClassifierTrial] {
        let size: (classes: Int, layers: Int) = (10, 3)
        let main: ClassifierTrial = lssl(
            Self.legsSpeech, try LSSLConfiguration(features: 32, order: 32, transition: .shared), size, seed: seed)
        let fixed: LSSLConfiguration = try LSSLConfiguration(features: 32, order: 32, transition: .fixed)
        let count: Int = main.model.parameterCount
        return [
            main, lssl(Self.fixedSpeech, fixed, size, seed: seed), lssl(Self.randomSpeech, fixed, size, randomA: true, seed: seed),
            ClassifierTrial.matching(count, widths: 4...96) { gru(Self.gruSpeech, width: $0, seed: seed) },
            ClassifierTrial.matching(count, widths: 4...96) { lstm(Self.lstmSpeech, width: $0, seed: seed) },
            ClassifierTrial.matching(count, widths: 4...96) { convolution(Self.convolutionSpeech, channels: $0, seed: seed) },
        ]
    }

    // MARK: Methods

    private func run(
        _ trial: ClassifierTrial, _ data: SequenceDataset, _ settings: ClassifierTrial.Settings, _ seed: UInt64,
        _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        var diverged: Bool = false
        do { measurements.record(curve: try trial.train(data, settings, seed: seed, context: context)) } catch let failure
            as TrainingFailure
        {
            // A random A grows without bound over thousands of steps; where it overflows there is nothing to train, and the accuracy says so.
            guard case .notFinite = failure else { throw failure }
            diverged = true
        }
        measurements.record(trial.name, Self.divergence, seed: seed, diverged ? 1 : 0)
        measurements.record(trial.name, Self.parameters, seed: seed, Double(trial.model.parameterCount))
    }

    private func lssl(
        _ name: String, _ layer: LSSLConfiguration, _ size: (classes: Int, layers: Int), randomA: Bool = false, seed: UInt64
    ) -> ClassifierTrial {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        var matrices: (A: Tensor, B: Tensor)?
        if randomA {
            let order: Int = layer.order
            matrices = layer.measure.matrices(order: order, dtype: .float32)
            matrices?.A = Tensor.normal([order, order], generator: RandomGenerator(seed: seed &+ 1)) / Double(order)
        }
        let model: LSSLClassifier = LSSLClassifier(
            1, classes: size.classes, layers: size.layers, layer: layer, matrices: matrices, generator: generator)
        return ClassifierTrial(name: name, model: model) { model($0) }
    }

    private func gru(_ name: String, width: Int, seed: UInt64) -> ClassifierTrial {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        let model: RecurrentClassifier<GRU> = RecurrentClassifier(GRU(1, width, generator: generator), classes: 10, generator: generator)
        return ClassifierTrial(name: name, model: model) { model($0) }
    }

    private func lstm(_ name: String, width: Int, seed: UInt64) -> ClassifierTrial {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        let model: RecurrentClassifier<LSTM> = RecurrentClassifier(LSTM(1, width, generator: generator), classes: 10, generator: generator)
        return ClassifierTrial(name: name, model: model) { model($0) }
    }

    private func convolution(_ name: String, channels: Int, seed: UInt64) -> ClassifierTrial {
        let model: ConvolutionalClassifier = ConvolutionalClassifier(
            1, classes: 10, channels: channels, receptiveField: 128, generator: RandomGenerator(seed: seed))
        return ClassifierTrial(name: name, model: model) { model($0) }
    }
}
