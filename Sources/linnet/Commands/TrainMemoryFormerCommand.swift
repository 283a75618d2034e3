import ArgumentParser
import Efficiency
import Foundation
import SequenceModels
import Training

extension MemoryWeighting: ExpressibleByArgument {}

struct TrainMemoryFormerCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "memoryformer",
        abstract: "Train a MemoryFormer on text files: a transformer with lookups in hash tables for all fully connected layers.",
        discussion: """
            The layers multiply about 1/bits as much as dense ones and keep about 2^bits / bits as many numbers. The paper trains with a weight decay of
            0.1 and three times the learning rate of a dense model. The last tenth of the text is held out for validation. The folder is one that eval and
            generate take.

            Examples:
              linnet train memoryformer --text shakespeare.txt --weight-decay 0.1 --out runs/memory
              linnet train memoryformer --text a.txt --tokenizer bpe:4096 --dimensions 512 --layers 6 --heads 8 --bits 8 --out runs/tiny
              linnet generate --model runs/memory --prompt "ROMEO:"
            """)

    @Option(help: "A UTF-8 text file; may be given several times.")
    var text: [String]
    @Option(help: "char, byte, bpe:SIZE (trained on the text), or the path of a tokenizer.json.")
    var tokenizer: String = "char"
    @Option(help: "Width of the model; bits and heads have to divide it.")
    var dimensions: Int = 128
    @Option(help: "Layers.")
    var layers: Int = 4
    @Option(help: "Heads of the attention.")
    var heads: Int = 4
    @Option(help: "Signs in a code: a table has 2^bits rows.")
    var bits: Int = 8
    @Option(name: .customLong("extra-bits"), help: "Signs that the second lookup of a feed-forward has more.")
    var extraBits: Int = 2
    @Option(help: "Weight of a row: probability (the paper's text), scaled-probability (its code) or magnitude.")
    var weighting: MemoryWeighting = .scaledProbability
    @Option(help: "Temperature of the probability.")
    var temperature: Double = 1
    @Flag(name: .customLong("project"), help: "Turn queries, keys and values by a fixed random matrix before hashing.")
    var projects: Bool = false
    @Option(help: "Tokens that the model sees at once.")
    var context: Int = 256
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var run: RunOptions

    func run() async throws {
        try run.checkFolder()
        let corpus: TextCorpus = try TextCorpus(contentsOf: text.map { URL(fileURLWithPath: $0) })
        let chosen: any Tokenizer = try TokenizerChoice(tokenizer).make(corpus: corpus, folder: run.resume ? run.url : nil)
        let training: MemoryFormerTraining = try configuration(vocabularySize: chosen.vocabularySize)
        let tokens: LanguageModelTraining.Corpus = try LanguageModelTraining.Corpus(corpus, tokenizer: chosen, context: context)
        let folder: MemoryFormerFolder = MemoryFormerFolder(run.url)
        if !run.hasCheckpoint { try folder.describe(training.model, chosen) }
        let (model, result, score) = try run.recorded(kind: "memoryformer", configuration: training, seed: optimization.seed) { outlet in
            try training.run(tokens, outlet: outlet)
        }
        try folder.save(model, chosen)
        print(
            String(
                format:
                    "%d steps in %.0f s, %d parameters, %d multiply-accumulates a token: validation loss %.4f, %.4f bits per character; model in %@",
                result.steps, result.seconds, model.parameterCount, CostModel(of: model).linearMultiplyAccumulates, score.loss,
                score.bitsPerCharacter, run.folder))
    }

    private func configuration(vocabularySize: Int) throws -> MemoryFormerTraining {
        let model: MemoryFormerConfiguration = try MemoryFormerConfiguration(
            vocabularySize: vocabularySize, dimensions: dimensions, layers: layers, heads: heads, bits: bits, extraBits: extraBits,
            weighting: weighting, temperature: temperature, projectsBeforeHashing: projects)
        guard context > 0, optimization.batch > 0 else { throw ValidationError("--context and --batch have to be at least 1") }
        return MemoryFormerTraining(
            model: model, optimizer: try optimization.optimizer(), trainer: try optimization.trainer(run), context: context,
            rows: optimization.batch)
    }
}
