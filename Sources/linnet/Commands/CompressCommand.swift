import ArgumentParser
import Efficiency
import Foundation
import Torch
import Yams

struct CompressCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "compress",
        abstract: "Make a trained model smaller.",
        discussion: """
            Takes the folder of a Llama, GPT-2 or BERT model in Hugging Face's format, or of a language model that Linnet trained, and writes a folder that
            eval, generate and serve take like the dense one. Prints what becomes of each layer, real sizes in memory and on disk, and the perplexity on a
            text before and after.

            Examples:
              linnet compress quantize ~/models/llama small --bits 4 --text held-out.txt
              linnet compress quantize ~/models/llama small --bits 4 --low-bits 2 --average-bits 3.25 --calibration corpus.txt --dry-run
              linnet compress welore ~/models/llama small --reduction 0.5 --text held-out.txt
              linnet compress maestro ~/models/llama small --budget 0.5 --calibration corpus.txt --text held-out.txt
              linnet compress prune ~/models/llama small --sparsity 0.5 --text held-out.txt
              linnet compress kv ~/models/llama small --budget 0.5 --text held-out.txt
              linnet compress recipe steps.yaml ~/models/llama small --text held-out.txt
              linnet compress quantize ~/models/gpt2 dense --bits 4 --dense    # decoded weights, for Python's transformers
            """,
        subcommands: [
            CompressKVCommand.self,
            CompressMaestroCommand.self,
            CompressPruneCommand.self,
            CompressQuantizeCommand.self,
            CompressRecipeCommand.self,
            CompressWeLoreCommand.self,
        ])
}

struct CompressQuantizeCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Pack the matrices of a model's blocks into codes of 2, 3, 4 or 8 bits.",
        discussion: """
            Groups of a row's weights share a scale and a zero point. Embedding, head and norms stay as they are. With --low-bits the less important blocks get
            fewer bits, as many that the average is --average-bits: by lim (how much a block changes its input; takes text), zd (the distribution of its
            weights), or last (the last blocks first).

            Examples:
              linnet compress quantize runs/llama small --bits 4 --group-size 64 --text held-out.txt
              linnet compress quantize runs/llama small --bits 3 --method gptq --calibration corpus.txt --text held-out.txt
              linnet compress quantize runs/llama small --bits 4 --low-bits 2 --average-bits 3 --order lim --text held-out.txt
            """)

    @OptionGroup var options: CompressOptions
    @Option(help: "Bits of a weight: 2, 3, 4 or 8.")
    var bits: Int = 4
    @Option(name: .customLong("group-size"), help: "Inputs that share a scale and a zero point, a multiple of 16.")
    var groupSize: Int = 64
    @Option(help: "rtn rounds to nearest; gptq moves what is lost into the next columns, and takes text to calibrate on.")
    var method: QuantizeStep.Method = .rtn
    @Option(help: "gptq: share of the mean second moment of the inputs that is added to each.")
    var damping: Double = 0.01
    @Flag(name: .customLong("act-order"), help: "gptq: columns with large inputs first.")
    var actOrder: Bool = false
    @Option(name: .customLong("low-bits"), help: "Bits of the less important blocks.")
    var lowBits: Int?
    @Option(name: .customLong("average-bits"), help: "Mean over the blocks, between --low-bits and --bits.")
    var averageBits: Double?
    @Option(help: "Which blocks are less important: lim, zd or last.")
    var order: QuantizeStep.Order = .lim
    @Option(help: "Windows of the calibration text that are read.")
    var windows: Int = 128

    func run() async throws {
        var step: QuantizeStep = QuantizeStep()
        (step.bits, step.groupSize, step.method, step.damping, step.actOrder) = (bits, groupSize, method, damping, actOrder)
        (step.lowBits, step.averageBits, step.order, step.windows) = (lowBits, averageBits, order, windows)
        try step.validate()
        try options.run([step])
    }
}

extension QuantizeStep.Method: ExpressibleByArgument {}
extension QuantizeStep.Order: ExpressibleByArgument {}

struct CompressRecipeCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "recipe",
        abstract: "Apply the steps of a YAML file one after the other.",
        discussion: """
            A recipe is a list of steps, each a method's name with its settings, which have the names of the command's flags:

              steps:
                - welore: {reduction: 0.5, min-ratio: 0.5}
                - quantize: {bits: 4, group-size: 64, method: gptq}

            Methods: \(CompressionSteps.all.map { $0.name }.joined(separator: ", ")). With --dry-run each step is planned on the model as it is.

            Example:
              linnet compress recipe steps.yaml ~/models/llama small --calibration corpus.txt --text held-out.txt
            """)

    @Argument(help: "The YAML file.")
    var recipe: String
    @OptionGroup var options: CompressOptions

    func run() async throws { try options.run(read().steps) }

    private func read() throws -> CompressionRecipe {
        let text: String
        do { text = try String(contentsOfFile: recipe, encoding: .utf8) } catch {
            throw ValidationError("the recipe \(recipe) cannot be read as a UTF-8 text file")
        }
        do { return try YAMLDecoder().decode(CompressionRecipe.self, from: text) } catch let error as ConfigurationError {
            throw ConfigurationError("the recipe \(recipe): \(error)")
        } catch DecodingError.dataCorrupted(let context) {
            throw ConfigurationError("the recipe \(recipe): \(context.underlyingError.map { "\($0)" } ?? context.debugDescription)")
        } catch {
            throw ConfigurationError("the recipe \(recipe) has to be a mapping with a list of steps")
        }
    }
}
