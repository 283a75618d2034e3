import ArgumentParser
import Foundation
import NN
import SequenceModels
import Torch
import Training

extension LigerGate: ExpressibleByArgument {
    public init?(argument: String) {
        guard let gate = LigerGate(rawValue: argument), gate != .learned else { return nil }
        self = gate
    }
}

struct LinearizeCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "linearize",
        abstract: "Turn a Llama into a gated recurrent model of constant memory (Liger).",
        discussion: """
            The softmax attention becomes a gated recurrence, with gates from the keys and no new weights, beside attention to a short window. Low-rank
            adapters on the projections of queries, keys and values are then trained on the text; its last tenth is held out, and the losses of the
            teacher and of the student before and after are measured on it. The result is a folder that generate and eval take.

            Examples:
              linnet train lm --text shakespeare.txt --mixer softmax --format llama --out runs/teacher
              linnet linearize --model runs/teacher --into gla --text shakespeare.txt --steps 150 --out runs/liger
              linnet linearize --model ~/models/llama --into gsa:32 --window 64 --text corpus.txt --keep-adapters --out runs/gsa --resume
            """)

    @Option(help: "Folder of a Llama model in Hugging Face's format.")
    var model: String
    @Option(help: "The recurrence: gla, hgrn2, gsa, gsa:SLOTS, scalar, or none for no gate.")
    var into: LigerGate = .gla
    @Option(help: "Tokens that the window attention sees, the current one included.")
    var window: Int = 64
    @Option(help: "Share of the window attention in the output: 0 is the recurrence alone.")
    var mix: Double = 0.5
    @Option(help: "A UTF-8 text file; may be given several times.")
    var text: [String]
    @Option(help: "Tokens that the model sees at once.")
    var context: Int = 256
    @Option(name: .customLong("lora-rank"), help: "Rank of the adapters.")
    var loraRank: Int = 8
    @Option(name: .customLong("lora-alpha"), help: "Alpha of the adapters; they are scaled by alpha over rank.")
    var loraAlpha: Double = 8
    @Flag(name: .customLong("keep-adapters"), help: "Write the adapters as files of their own (PEFT's) instead of merging them.")
    var keepAdapters: Bool = false
    @Flag(help: "Also train the same model from random weights for as many steps, and print its loss.")
    var compare: Bool = false
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var run: RunOptions

    func run() async throws {
        try run.checkFolder()
        let training: LigerTraining = try trainingConfiguration()
        let source: URL = URL(fileURLWithPath: model, isDirectory: true)
        let loaded: PretrainedModel = try PretrainedModel.load(from: source)
        guard let teacher = loaded.model as? LlamaModel, !(teacher is LigerLM), teacher.adaptedLayers.isEmpty else {
            throw ConfigurationError(
                "\(model) is no Llama with softmax attention and without adapters; only such a model can be linearised")
        }
        let corpus: LanguageModelTraining.Corpus = try LanguageModelTraining.Corpus(
            try TextCorpus(contentsOf: text.map { URL(fileURLWithPath: $0) }), tokenizer: loaded.tokenizer, context: context)
        let student: LigerLM = try linearize(teacher, into: into, window: window, mix: mix)
        let (before, zeroShot) = (score(teacher, corpus), score(student, corpus))
        if !run.hasCheckpoint { try PretrainedModel(model: student, tokenizer: loaded.tokenizer).describe(in: run.url) }
        let (result, tuned) = try run.recorded(kind: "linearize", configuration: training, seed: optimization.seed) { outlet in
            try training.run(student, corpus, outlet: outlet)
        }
        let trained: Int = student.trainableParameters().reduce(0) { $0 + $1.count }
        if !keepAdapters { student.fuseLoRA() }
        try PretrainedModel(model: student, tokenizer: loaded.tokenizer).save(to: run.url)
        let size: Int = teacher.vocabularySize
        show("teacher", before, of: before, size)
        show("zero-shot", zeroShot, of: before, size)
        show("tuned", tuned, of: before, size)
        if compare { show("from scratch", try fromScratch(training, teacher.configuration, corpus), of: before, size) }
        print(
            String(
                format: "%d steps in %.0f s, %d of %d parameters trained; model in %@", result.steps, result.seconds, trained,
                teacher.parameterCount + trained, run.folder))
    }

    private func trainingConfiguration() throws -> LigerTraining {
        guard context > 0, optimization.batch > 0 else { throw ValidationError("--context and --batch have to be at least 1") }
        return LigerTraining(
            liger: try LigerConfiguration(gate: into, window: window, mix: mix),
            lora: try LoRAConfiguration(rank: loraRank, alpha: loraAlpha), optimizer: try optimization.optimizer(),
            trainer: try optimization.trainer(run), context: context, rows: optimization.batch,
            teacher: URL(fileURLWithPath: model).standardizedFileURL.path)
    }

    private func score(_ model: LlamaModel, _ corpus: LanguageModelTraining.Corpus) -> LanguageModelScore {
        corpus.score(model, context: context, rows: optimization.batch)
    }

    /// The same architecture from random weights, all of them trained, with the same tokens and schedule.
    private func fromScratch(
        _ training: LigerTraining, _ configuration: LlamaConfiguration, _ corpus: LanguageModelTraining.Corpus
    ) throws -> LanguageModelScore {
        var whole: LigerTraining = training
        whole.lora = nil
        whole.trainer.checkpointEvery = nil
        seedEverything(optimization.seed)
        return try whole.run(LigerLM(configuration, training.liger), corpus, outlet: TrainingOutlet(progress: run.progress.style)).score
    }

    private func show(_ name: String, _ score: LanguageModelScore, of teacher: LanguageModelScore, _ vocabularySize: Int) {
        let label: String = name.padding(toLength: 12, withPad: " ", startingAt: 0)
        let share: Double = 100 * score.recovery(of: teacher, vocabularySize: vocabularySize)
        print(label + String(format: "  loss %.4f nats, perplexity %8.2f, recovery %6.1f %%", score.loss, score.perplexity, share))
    }
}
