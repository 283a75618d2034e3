import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

struct TrainClassifierCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "classify",
        abstract: "Train a classifier of whole sequences: raw audio, or images pixel by pixel.",
        discussion: """
            --data fsdd and --data mnist read the sets that `linnet data` knows; --audio reads a folder with one subfolder of .wav files for each
            class, of which every fifth file is held out.

            Examples:
              linnet train classify --data fsdd --mixer lssl --out runs/digits
              linnet train classify --audio recordings/ --length 8000 --mixer gla --out runs/mine
            """)

    @Option(help: "A known data set: fsdd or mnist.")
    var data: KnownData?
    @Option(help: "A folder of recordings, one subfolder for each class.")
    var audio: String?
    @Option(help: "Samples of a recording that are used; longer ones are cut, shorter ones padded, about their centre.")
    var length: Int = 4096
    @Option(help: "Sample rate that recordings are brought to, in Hz.")
    var rate: Int = 8000
    @Option(help: "Most training examples (and a quarter of it for testing); all by default.")
    var limit: Int?
    @Option(help: "Width of the model.")
    var dimensions: Int = 32
    @Option(help: "Layers.")
    var layers: Int = 3
    @Option(help: "Dropout after each sublayer.")
    var dropout: Double = 0
    @OptionGroup var mixerOptions: MixerOptions
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var run: RunOptions

    enum KnownData: String, ExpressibleByArgument, CaseIterable { case fsdd, mnist }

    func run() async throws {
        try run.checkFolder()
        let (train, test) = try datasets()
        guard optimization.batch > 0, optimization.batch <= train.count else {
            throw ValidationError("--batch has to lie in 1 ... \(train.count), the number of training examples")
        }
        let shape: SequenceClassifierConfiguration = try SequenceClassifierConfiguration(
            inputDimensions: train.channels, classes: train.classes.count, dimensions: dimensions, layers: layers,
            mixer: mixerOptions.configuration, dropout: dropout)
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: try optimization.optimizer(), trainer: try optimization.trainer(run), rows: optimization.batch)
        seedEverything(optimization.seed)
        let network: SequenceClassifier = try SequenceClassifier(shape)
        try AtomicFile.createFolder(run.folder)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let description: Data = try encoder.encode(shape)
        if !run.hasCheckpoint { try AtomicFile.write(description, to: run.url.appendingPathComponent("config.json").path) }
        let result: TrainingResult = try run.recorded(kind: "classify", configuration: shape, seed: optimization.seed) { sink in
            try training.run(
                network, forward: { network($0) }, train: train, test: test, description: String(decoding: description, as: UTF8.self),
                folder: run.url, resume: run.resume, sink: sink, progress: run.progress.style)
        }
        try saveTensors(Dictionary(uniqueKeysWithValues: network.stateTensors()), to: run.url.appendingPathComponent("model.safetensors"))
        let score: ClassifierScore = ClassifierScore(test, rows: optimization.batch) { network($0) }
        print(
            String(
                format: "%d steps in %.0f s, %d parameters: accuracy %.4f of %d test sequences, loss %.4f; model in %@", result.steps,
                result.seconds, network.parameterCount, score.accuracy, test.count, score.loss, run.folder))
    }

    private func datasets() throws -> (train: SequenceDataset, test: SequenceDataset) {
        switch (data, audio) {
        case (.fsdd?, nil):
            return limited(try SequenceDataset.spokenDigits(folder: try DataDirectory.standard.locate("fsdd"), length: length))
        case (.mnist?, nil):
            let folder: String = try DataDirectory.standard.locate("mnist")
            return limited((try .sequentialDigits(.train, folder: folder), try .sequentialDigits(.test, folder: folder)))
        case (nil, let folder?):
            guard length > 0, rate > 0 else { throw ValidationError("--length and --rate have to be at least 1") }
            return limited(try SequenceDataset.recordings(folder: folder, length: length, rate: rate))
        default: throw ValidationError("give either --data fsdd|mnist or --audio FOLDER")
        }
    }

    private func limited(_ parts: (train: SequenceDataset, test: SequenceDataset)) -> (train: SequenceDataset, test: SequenceDataset) {
        guard let limit else { return parts }
        return (parts.train.spread(limit), parts.test.spread(max(1, limit / 4)))
    }
}
