import ArgumentParser
import Efficiency

struct CompressKVCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "kv",
        abstract: "Cut the cache of keys and values to the leading channels of orthogonal bases.",
        discussion: """
            For Llama models (also with grouped queries), GPT-2 and others of softmax attention. Each head gets a basis: principal axes of the
            calibration text, then trained to keep the model's predictions when channels are cut off. A search finds how many channels each
            head keeps. The model hardly gets smaller; what it remembers of a text while it generates does, to --budget. Long texts and many
            users profit.

            Examples:
              linnet compress kv ~/models/llama small --budget 0.5 --text held-out.txt
              linnet compress kv ~/models/llama small --budget 0.4 --steps 1000 --ranks exact --calibration corpus.txt --text held-out.txt
              linnet compress kv ~/models/llama small --steps 0 --ranks uniform --text held-out.txt    # principal axes alone, in seconds
              linnet compress kv ~/models/llama --budget 0.25 --dry-run
            """)

    @OptionGroup var options: CompressOptions
    @Option(help: "Share of the cache that is kept.")
    var budget: Double = 0.5
    @Option(help: "Steps of training; 0 for none.")
    var steps: Int = 300
    @Option(name: .customLong("learning-rate"), help: "Of the training.")
    var learningRate: Double = 1e-3
    @Option(help: "exact searches by the whole model's predictions, fast layer by layer; uniform is one rank for all heads.")
    var ranks: KVStep.Ranks = .fast
    @Option(help: "Windows of the calibration text that the principal axes are computed from.")
    var windows: Int = 128
    @Option(name: .customLong("search-windows"), help: "Windows that the search measures errors on.")
    var searchWindows: Int = 8

    func run() async throws {
        var step: KVStep = KVStep()
        (step.budget, step.steps, step.learningRate, step.ranks) = (budget, steps, learningRate, ranks)
        (step.windows, step.searchWindows) = (windows, searchWindows)
        try step.validate()
        try options.run([step])
    }
}

extension KVStep.Ranks: ExpressibleByArgument {}
