import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

struct TrainLanguageModelCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "lm",
        abstract: "Train a language model on text files.",
        discussion: """
            The last tenth of the text is held out for validation.

            Under `linnet launch`, torchrun, mpirun or srun each batch is divided among the processes, and the first one writes the run. With
            --model-shards N, N processes share each copy of the model. The numbers are those of one process; a run may be continued with another
            number of them, or of shards.

            Examples:
              linnet train lm --text shakespeare.txt --mixer gla --out runs/gla
              linnet train lm --text a.txt --text b.txt --tokenizer bpe:4096 --mixer deltanet --hybrid window:2:64 --out runs/hybrid
              linnet train lm --text shakespeare.txt --mixer softmax --format llama --out runs/llama
              linnet train lm --text shakespeare.txt --mixer mom --memories 8 --active-memories 2 --memory-backend delta --out runs/mom
              linnet train lm --recipe recipe.yaml --steps 2000 --out runs/long --resume
              linnet launch -n 4 -- linnet train lm --text shakespeare.txt --mixer softmax --shard-optimizer --out runs/four
              linnet launch -n 4 -- linnet train lm --text shakespeare.txt --mixer softmax --model-shards 2 --out runs/shared
              linnet launch -n 2 -- linnet train lm --text shakespeare.txt --mixer gla --compress-gradients 'topk: {reference: 0.02}' --out runs/small
            """)

    @Option(help: "A UTF-8 text file; may be given several times.")
    var text: [String]
    @Option(help: "char, byte, bpe:SIZE (trained on the text), or the path of a tokenizer.json.")
    var tokenizer: String = "char"
    @Option(help: "Width of the model.")
    var dimensions: Int = 128
    @Option(help: "Layers.")
    var layers: Int = 4
    @Option(help: "Tokens that the model sees at once.")
    var context: Int = 256
    @Option(help: "Layers of softmax attention in between: window:EVERY:SIZE, global (the paper's two layers), or global:1,3.")
    var hybrid: HybridArgument?
    @Option(help: "Dropout after each sublayer.")
    var dropout: Double = 0
    @Flag(name: .customLong("untied-head"), help: "Give the head a weight of its own instead of the embedding's.")
    var untiedHead: Bool = false
    @Option(help: "Format of the finished model: linnet, or llama for Hugging Face's Llama checkpoints (softmax attention only).")
    var format: Format = .linnet
    @OptionGroup var mixerOptions: MixerOptions
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var distribution: DistributionOptions
    @OptionGroup var run: RunOptions

    enum Format: String, ExpressibleByArgument, CaseIterable { case linnet, llama }

    func run() async throws {
        try run.checkFolder()
        let corpus: TextCorpus = try TextCorpus(contentsOf: text.map { URL(fileURLWithPath: $0) })
        let chosen: any Tokenizer = try TokenizerChoice(tokenizer).make(corpus: corpus, folder: run.resume ? run.url : nil)
        let training: LanguageModelTraining = try configuration(vocabularySize: chosen.vocabularySize)
        if format == .llama { _ = try LlamaConfiguration(training.model, context: context) }
        // All processes have looked at the folder before the first of them writes into it.
        let group: ProcessGroup = try .fromEnvironment()
        let tokens: LanguageModelTraining.Corpus = try LanguageModelTraining.Corpus(corpus, tokenizer: chosen, context: context)
        let shared: (TrainingOutlet) -> TrainingOutlet = try distribution.sharing(group, seed: optimization.seed)
        guard group.rank == 0 else {
            Interrupt.install()
            _ = try training.run(tokens, outlet: shared(TrainingOutlet(folder: run.url, resume: run.resume, progress: .quiet)))
            return
        }
        // What stands beside checkpoints describes them: the trainer refuses to continue them with another model.
        if !run.hasCheckpoint { try LanguageModelBundle.describe(training.model, chosen, in: run.url) }
        let (model, result, score) = try run.recorded(kind: "lm", configuration: training, seed: optimization.seed) { outlet in
            try training.run(tokens, outlet: shared(outlet))
        }
        let finished: any CausalLanguageModel = format == .llama ? try LlamaModel(model, context: context) : model
        try PretrainedModel(model: finished, tokenizer: chosen).save(to: run.url)
        print(
            String(
                format: "%d steps in %.0f s, %d parameters: validation loss %.4f, %.4f bits per character; model in %@", result.steps,
                result.seconds, model.parameterCount, score.loss, score.bitsPerCharacter, run.folder))
    }

    private func configuration(vocabularySize: Int) throws -> LanguageModelTraining {
        let model: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: vocabularySize, dimensions: dimensions, layers: layers, mixer: mixerOptions.configuration,
            hybrid: try hybrid?.pattern(layers: layers), tiedHead: !untiedHead, dropout: dropout)
        guard context > 0, optimization.batch > 0 else { throw ValidationError("--context and --batch have to be at least 1") }
        return LanguageModelTraining(
            model: model, optimizer: try optimization.optimizer(), trainer: try optimization.trainer(run), context: context,
            rows: optimization.batch)
    }
}

/// `window:2:64`, `global` or `global:1,3`.
struct HybridArgument: ExpressibleByArgument {
    private let parts: [String]

    init?(argument: String) {
        parts = argument.split(separator: ":").map(String.init)
        guard ["window", "global"].contains(parts.first) else { return nil }
    }

    func pattern(layers: Int) throws -> HybridPattern {
        if parts.count == 3, parts[0] == "window", let every = Int(parts[1]), let size = Int(parts[2]), every > 0, size > 0 {
            return .slidingWindow(every: every, window: size)
        }
        if parts == ["global"] { return .globalAttention(depth: layers) }
        let chosen: [Int?] = parts.count == 2 ? parts[1].split(separator: ",").map { Int($0) } : [nil]
        let indices: [Int] = chosen.compactMap { $0 }
        guard parts[0] == "global", indices.count == chosen.count, indices.allSatisfy({ (0..<layers).contains($0) }) else {
            throw ValidationError("--hybrid is window:EVERY:SIZE, global, or global:LAYER,LAYER with layers from 0 to \(layers - 1)")
        }
        return .globalAttention(layers: indices)
    }
}

/// The tokenizer that `--tokenizer` names.
struct TokenizerChoice {
    private let name: String

    init(_ name: String) { self.name = name }

    /// - Parameter folder: of a run that is continued; its tokenizer is taken again.
    func make(corpus: TextCorpus, folder: URL?) throws -> any Tokenizer {
        let saved: URL? = folder?.appendingPathComponent("tokenizer.json")
        if let saved, FileManager.default.fileExists(atPath: saved.path) { return try loadTokenizer(from: saved) }
        if name == "byte" { return ByteTokenizer() }
        if name == "char" { return CharacterTokenizer(corpus: corpus.texts.joined()) }
        guard name.hasPrefix("bpe:") else { return try loadTokenizer(from: URL(fileURLWithPath: name)) }
        guard let size = Int(name.dropFirst(4)), size >= 257 else {
            throw ValidationError("--tokenizer bpe:SIZE needs a size of at least 257, not '\(name.dropFirst(4))'")
        }
        return try BPETokenizer.train(corpus: corpus.texts, vocabularySize: size)
    }
}
