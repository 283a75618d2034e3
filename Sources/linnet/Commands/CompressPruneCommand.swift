import ArgumentParser
import Efficiency

extension PruneStep.Scope: ExpressibleByArgument {}

struct CompressPruneCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "prune",
        abstract: "Drop the elements of a model's matrices that are smallest by magnitude.",
        discussion: """
            What is left is stored as numbers and a bit for each place. This saves memory and no time, and is the baseline of the methods that change a model's
            structure. With --steps what is left is trained on the text; what was dropped stays 0.

            Examples:
              linnet compress prune ~/models/llama --sparsity 0.5 --dry-run
              linnet compress prune ~/models/llama small --sparsity 0.6 --scope model --text held-out.txt
              linnet compress prune runs/llama small --sparsity 0.8 --steps 200 --calibration corpus.txt --text held-out.txt
            """)

    @OptionGroup var options: CompressOptions
    @Option(help: "Share of the elements that are dropped.")
    var sparsity: Double = 0.5
    @Option(help: "layer: the same share of each matrix; model: one threshold for all.")
    var scope: PruneStep.Scope = .layer
    @Option(help: "Steps of training what is left on the text.")
    var steps: Int = 0
    @Option(name: .customLong("learning-rate"), help: "Peak learning rate of that training.")
    var learningRate: Double = 1e-4

    func run() async throws {
        try options.run([PruneStep(sparsity: sparsity, scope: scope, steps: steps, learningRate: learningRate)])
    }
}
