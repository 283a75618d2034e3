import ArgumentParser
import Foundation
import NN
import SequenceModels
import Torch
import Training

struct TrainClassifierCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "classify",
        abstract: "Train a classifier of whole sequences (raw audio, or images pixel by pixel) or of square images.",
        discussion: """
            --data fsdd, mnist and cifar10 read the sets that `linnet data` knows; --audio reads a folder with one subfolder of .wav files for each
            class, of which every fifth file is held out.

            --model terminator is HyperZZW's network for square images, or for sequences whose length is a square: --layers are its blocks (1 to
            5), --dimensions the width of its slow networks, and the mixer's flags say nothing to it.

            Examples:
              linnet train classify --data fsdd --mixer lssl --out runs/digits
              linnet train classify --data cifar10 --side 16 --model terminator --dimensions 16 --batch 64 --out runs/terminator
              linnet train classify --audio recordings/ --length 8000 --mixer gla --out runs/mine
            """)

    @Option(help: "A known data set: fsdd, mnist or cifar10.")
    var data: KnownData?
    @Option(help: "A folder of recordings, one subfolder for each class.")
    var audio: String?
    @Option(help: "Samples of a recording that are used; longer ones are cut, shorter ones padded, about their centre.")
    var length: Int = 4096
    @Option(help: "Sample rate that recordings are brought to, in Hz.")
    var rate: Int = 8000
    @Option(help: "Rows and columns that images are averaged down to.")
    var side: Int = 14
    @Option(help: "Most training examples (and a quarter of it for testing); all by default.")
    var limit: Int?
    @Option(help: "Architecture: mixer (residual blocks around --mixer) or terminator.")
    var model: Architecture = .mixer
    @Option(help: "Width of the model.")
    var dimensions: Int = 32
    @Option(help: "Layers.")
    var layers: Int = 3
    @Option(help: "Dropout after each sublayer.")
    var dropout: Double = 0
    @OptionGroup var mixerOptions: MixerOptions
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var run: RunOptions

    enum KnownData: String, ExpressibleByArgument, CaseIterable { case fsdd, mnist, cifar10 }
    enum Architecture: String, ExpressibleByArgument, CaseIterable { case mixer, terminator }

    func run() async throws {
        try run.checkFolder()
        if let limit, limit < 1 { throw ValidationError("--limit has to be at least 1") }
        let (train, test) = try datasets()
        guard optimization.batch > 0, optimization.batch <= train.count else {
            throw ValidationError("--batch has to lie in 1 ... \(train.count), the number of training examples")
        }
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: try optimization.optimizer(), trainer: try optimization.trainer(run), rows: optimization.batch)
        seedEverything(optimization.seed)
        let network: ClassifierNetwork = try network(for: train)
        try AtomicFile.createFolder(run.folder)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let description: Data = try encoder.encode(network.configuration)
        if !run.hasCheckpoint { try AtomicFile.write(description, to: run.url.appendingPathComponent("config.json").path) }
        let result: TrainingResult = try run.recorded(kind: "classify", configuration: network.configuration, seed: optimization.seed) {
            outlet in
            try training.run(
                network.model, forward: network.logits, train: train, test: test, loss: network.loss,
                description: String(decoding: description, as: UTF8.self), outlet: outlet)
        }
        let weights: [String: Tensor] = Dictionary(uniqueKeysWithValues: network.model.stateTensors())
        try saveTensors(weights, to: run.url.appendingPathComponent("model.safetensors"))
        let score: ClassifierScore = ClassifierScore(test, rows: optimization.batch, forward: network.logits)
        print(
            String(
                format: "%d steps in %.0f s, %d parameters: accuracy %.4f of %d test sequences, loss %.4f; model in %@", result.steps,
                result.seconds, network.model.parameterCount, score.accuracy, test.count, score.loss, run.folder))
    }

    /// What is trained: logits of sequences `[B, T, C]`, and the loss where it is not their cross-entropy.
    private struct ClassifierNetwork {
        let model: Module
        let configuration: any Encodable
        let logits: (Tensor) -> Tensor
        var loss: ((Tensor, Tensor) -> Tensor)?
    }

    private func network(for data: SequenceDataset) throws -> ClassifierNetwork {
        switch model {
        case .mixer:
            let shape: SequenceClassifierConfiguration = try SequenceClassifierConfiguration(
                inputDimensions: data.channels, classes: data.classes.count, dimensions: dimensions, layers: layers,
                mixer: mixerOptions.configuration, dropout: dropout)
            let network: SequenceClassifier = try SequenceClassifier(shape)
            return ClassifierNetwork(model: network, configuration: shape, logits: { network($0) })
        case .terminator:
            let root: Int = Int(Double(data.length).squareRoot().rounded())
            guard root * root == data.length else {
                throw ValidationError("--model terminator reads sequences as square images; \(data.length) steps are none (see --length)")
            }
            // With running statistics a prediction does not depend on what else is in the batch.
            let shape: TerminatorConfiguration = try .compact(
                inputChannels: data.channels, classes: data.classes.count, blocks: layers, dropout: dropout,
                block: SFNEConfiguration(side: root, globalHidden: dimensions, localHidden: dimensions, contextStatistics: .running))
            let network: Terminator = Terminator(shape)
            return ClassifierNetwork(
                model: network, configuration: shape, logits: { network(squareImages($0)).logits },
                loss: { network.loss(squareImages($0), $1) })
        }
    }

    private func datasets() throws -> (train: SequenceDataset, test: SequenceDataset) {
        switch (data, audio) {
        case (.fsdd?, nil):
            return limited(try SequenceDataset.spokenDigits(folder: try DataDirectory.standard.locate("fsdd"), length: length))
        case (.mnist?, nil):
            let folder: String = try DataDirectory.standard.locate("mnist")
            return try images(MNIST.load(.train, folder: folder), MNIST.load(.test, folder: folder))
        case (.cifar10?, nil):
            let folder: String = try CIFAR10.locate(in: .standard)
            return try images(CIFAR10.load(.train, folder: folder), CIFAR10.load(.test, folder: folder))
        case (nil, let folder?):
            guard length > 0, rate > 0 else { throw ValidationError("--length and --rate have to be at least 1") }
            return limited(try SequenceDataset.recordings(folder: folder, length: length, rate: rate))
        default: throw ValidationError("give either --data fsdd|mnist|cifar10 or --audio FOLDER")
        }
    }

    private func images(_ train: LabelledImages, _ test: LabelledImages) throws -> (train: SequenceDataset, test: SequenceDataset) {
        guard side > 0 else { throw ValidationError("--side has to be at least 1") }
        return (.images(train, side: side, limit: limit), .images(test, side: side, limit: limit.map { max(1, $0 / 4) }))
    }

    private func limited(_ parts: (train: SequenceDataset, test: SequenceDataset)) -> (train: SequenceDataset, test: SequenceDataset) {
        guard let limit else { return parts }
        return (parts.train.spread(limit), parts.test.spread(max(1, limit / 4)))
    }
}
