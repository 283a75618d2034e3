import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The recipe of the language model that methods on trained transformers start from: characters of tinyshakespeare, a ``PlainTransformer``, AdamW with
/// warm-up and cosine (specification of the efficiency group, `LM-S`).
///
/// A model of one recipe and seed is trained once and kept in a cache folder, so that an experiment takes the time of its method.
struct SmallLanguageModel: Codable {
    var dimensions: Int = 96
    var layers: Int = 8
    var heads: Int = 4
    var context: Int = 64
    var rotary: Bool = false
    var rows: Int = 16
    var steps: Int = 1200
    var warmUp: Int = 50
    var learningRate: Double = 3e-3
    var weightDecay: Double = 0.01

    /// The recipe of a scale; `.full` is the specification's for a GPU.
    init(_ scale: Scale) {
        switch scale {
        case .smoke: (dimensions, layers, context, rows, steps, warmUp) = (16, 2, 16, 4, 3, 1)
        case .small: break
        case .full: (dimensions, layers, heads, context, steps, warmUp) = (512, 12, 8, 512, 20_000, 500)
        }
    }

    func configuration(vocabularySize: Int) throws -> PlainTransformerConfiguration {
        try PlainTransformerConfiguration(
            vocabularySize: vocabularySize, dimensions: dimensions, layers: layers, heads: heads, maximumContext: context, rotary: rotary)
    }

    /// The trained model of a seed, in evaluation mode: from the cache, or trained now and put there.
    func trained(on corpus: CharacterCorpus, seed: UInt64, context run: ExperimentContext) throws -> PlainTransformer {
        let model: PlainTransformer = try untrained(vocabularySize: corpus.vocabularySize, seed: seed)
        let file: URL = try cacheFile(seed: seed)
        try AtomicFile.createFolder(file.deletingLastPathComponent().path)
        // Experiments that run side by side start from the same model: the second waits for the first one's.
        let lock: FileLock? = try FileLock(file.path + ".lock", waits: true)
        defer { lock?.release() }
        if FileManager.default.fileExists(atPath: file.path) {
            try model.load(loadTensors(file))
        } else {
            try train(model, on: corpus, seed: seed, context: run)
            try saveTensors(Dictionary(uniqueKeysWithValues: model.stateTensors()), to: file)
        }
        model.train(false)
        return model
    }

    private func train(_ model: PlainTransformer, on corpus: CharacterCorpus, seed: UInt64, context run: ExperimentContext) throws {
        run.progress("base model, seed \(seed): \(steps) steps")
        try run.checkCancellation()
        let training: TrialTraining = TrialTraining(
            steps: steps, learningRate: learningRate, seed: seed, weightDecay: weightDecay, warmUp: warmUp)
        _ = try training.optimize(model, named: "base model", on: windows(corpus.training, seed: seed)) { model.loss($0) }
    }

    /// The model of a seed before its first step.
    func untrained(vocabularySize: Int, seed: UInt64) throws -> PlainTransformer {
        seedEverything(seed)
        return PlainTransformer(try configuration(vocabularySize: vocabularySize))
    }

    /// Windows of the recipe's length and number of rows.
    func windows(_ tokens: PackedTokens, seed: UInt64) -> TextWindows {
        TextWindows(tokens, context: context, rows: rows, seed: seed)
    }

    /// `$LINNET_CACHE`, or `linnet` in the user's cache folder.
    static var cacheFolder: URL {
        let environment: [String: String] = ProcessInfo.processInfo.environment
        if let path = environment["LINNET_CACHE"], !path.isEmpty { return URL(fileURLWithPath: path, isDirectory: true) }
        return URL(fileURLWithPath: DataDirectory.userCache(environment), isDirectory: true)
    }

    /// The name holds a hash of the recipe: another recipe is another file.
    func cacheFile(seed: UInt64) throws -> URL {
        let hash: String = SHA256.digest(Array(try sortedJSON().utf8))
        return Self.cacheFolder.appendingPathComponent("base-models/\(hash.prefix(16))-\(seed).safetensors")
    }
}
