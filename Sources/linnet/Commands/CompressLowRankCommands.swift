import ArgumentParser
import Efficiency

extension SpectrumNormalization: ExpressibleByArgument {}

struct CompressWeLoreCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "welore",
        abstract: "Cut the ranks of a model's matrices by one threshold on their singular values (WeLore).",
        discussion: """
            Singular values are made comparable between matrices, and one threshold is set for all, below which --reduction of them lie. Matrices that lose
            more than --min-ratio of their rank become two factors; the others stay dense. This takes no text. With --steps the factors and the norms are
            then trained on the text, everything else being frozen. GPT-2's fused matrix for queries, keys and values gets one rank.

            Examples:
              linnet compress welore ~/models/llama --reduction 0.5 --dry-run
              linnet compress welore ~/models/llama small --reduction 0.5 --text held-out.txt
              linnet compress welore runs/llama small --reduction 0.6 --steps 200 --calibration corpus.txt --text held-out.txt
            """)

    @OptionGroup var options: CompressOptions
    @Option(help: "Share of all singular values that lie below the threshold.")
    var reduction: Double = 0.5
    @Option(name: .customLong("min-ratio"), help: "A matrix becomes factors when it loses more than this share of its rank.")
    var minRatio: Double = 0.5
    @Option(help: "What makes singular values comparable: minMax, max or frobenius.")
    var normalization: SpectrumNormalization = .minMax
    @Option(help: "Steps of training the factors on the text.")
    var steps: Int = 0
    @Option(name: .customLong("learning-rate"), help: "Peak learning rate of that training.")
    var learningRate: Double = 1e-4

    func run() async throws {
        try options.run([
            WeLoreStep(
                reduction: reduction, minRatio: minRatio, normalization: normalization, steps: steps, learningRate: learningRate)
        ])
    }
}

struct CompressMaestroCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "maestro",
        abstract: "Find the ranks of a language model's matrices by training them as ordered factors (Maestro).",
        discussion: """
            Every matrix of the blocks becomes two factors, which are trained on the text with ordered dropout, so that their components sort by importance,
            and with a lasso that lets the last ones die. What is left is cut to the budget, the least important components of the whole model first.
            With --dry-run the ranks are those that the untrained factors would get.

            Examples:
              linnet compress maestro runs/llama --budget 0.5 --dry-run
              linnet compress maestro runs/llama small --budget 0.5 --steps 500 --calibration corpus.txt --text held-out.txt
            """)

    @OptionGroup var options: CompressOptions
    @Option(help: "Multiply-accumulates that the matrices of the blocks may cost, as a share of the dense ones'.")
    var budget: Double = 0.5
    @Option(help: "Optimizer steps.")
    var steps: Int = 300
    @Option(name: .customLong("learning-rate"), help: "Peak learning rate.")
    var learningRate: Double = 3e-4
    @Option(help: "Weight of the hierarchical group lasso.")
    var lasso: Double = 1e-6
    @Option(name: .customLong("shrink-every"), help: "Steps between two looks at which components have died.")
    var shrinkEvery: Int = 50
    @Option(help: "Share of a matrix' largest importance below which a component has died.")
    var threshold: Double = 1e-3

    func run() async throws {
        try options.run([
            MaestroStep(
                budget: budget, steps: steps, learningRate: learningRate, lasso: lasso, shrinkEvery: shrinkEvery, threshold: threshold)
        ])
    }
}
