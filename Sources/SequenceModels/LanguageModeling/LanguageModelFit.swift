import Foundation
import NN
import Optim
import Torch
import Training

/// How a language model is fitted to a text, whatever the model: what the training runs of a folder have in common.
struct LanguageModelFit {
    var optimizer: AdamWConfiguration
    var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    var context: Int
    /// Sequences in a batch.
    var rows: Int
    /// Everything that defines the run, as JSON.
    var description: String

    /// Trains the parameters that are not frozen.
    /// - Parameters:
    ///   - network: whose state the checkpoints hold.
    ///   - corpus: tokens to train and to validate on.
    ///   - folder: gets the checkpoints, below `checkpoints`; nil keeps nothing.
    ///   - resume: continue from the newest checkpoint of the folder.
    ///   - sink: receives the metrics.
    ///   - progress: how progress is shown.
    ///   - group: the ranks among which each batch is divided; ranks other than the first read checkpoints and write none.
    ///   - exchange: averages the gradients in place of a plain all-reduce.
    ///   - shardsState: keep the optimizer's state spread over the ranks.
    func run(
        _ network: some CausalLanguageModel, _ corpus: LanguageModelTraining.Corpus, folder: URL?, resume: Bool, sink: any MetricSink,
        progress: ProgressStyle, group: ProcessGroup = .single, exchange: (any GradientExchange)? = nil, shardsState: Bool = false
    ) throws -> (result: TrainingResult, score: LanguageModelScore) {
        let source: TextWindows = TextWindows(corpus.training, context: context, rows: rows, seed: trainer.seed)
        let held: TextWindows = corpus.held(context: context, rows: rows)
        let groups: [ParameterGroup] = .stateSpace(network)
        let rule: any Optimizer =
            shardsState
            ? try ZeroRedundancyOptimizer(groups: groups, configuration: optimizer, group: group)
            : try AdamW(groups: groups, configuration: optimizer)
        let loop: Trainer<ShardedBatches<TextWindows>> = try Trainer(
            model: network, optimizer: rule, source: try ShardedBatches(source, rows: rows, over: group), configuration: trainer,
            folder: folder?.appendingPathComponent("checkpoints", isDirectory: true), group: group, exchange: exchange,
            description: description, sink: sink, progress: progress,
            validation: {
                let score: LanguageModelScore = network.score(held, charactersPerToken: corpus.charactersPerToken)
                return ["loss": score.loss, "bits_per_character": score.bitsPerCharacter]
            }, loss: { network.loss($0) })
        let result: TrainingResult = try loop.run(resume: resume)
        return (result, network.score(held, charactersPerToken: corpus.charactersPerToken))
    }
}

extension LanguageModelTraining.Corpus {
    /// The validation part in windows.
    func held(context: Int, rows: Int) -> TextWindows { TextWindows(validation, context: context, rows: rows, seed: 0) }

    /// How well a model predicts the validation part.
    public func score(_ model: some CausalLanguageModel, context: Int, rows: Int) -> LanguageModelScore {
        model.score(held(context: context, rows: rows), charactersPerToken: charactersPerToken)
    }
}
