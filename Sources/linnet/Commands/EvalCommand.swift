import ArgumentParser
import Efficiency
import Foundation
import SequenceModels
import Training

struct EvalCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measure how well a trained language model predicts a text.",
        discussion: """
            The model is the folder of a training run, one of a Llama or GPT-2 model in Hugging Face's format, or what compress made of either.

            Example:
              linnet eval --model runs/gla --text held-out.txt --context 256
            """)

    @Option(help: "Folder of a trained language model.")
    var model: String
    @Option(help: "A UTF-8 text file; may be given several times.")
    var text: [String]
    @Option(help: "Tokens of a window; nothing before a window is seen.")
    var context: Int = 256
    @Option(help: "Windows that are read side by side.")
    var batch: Int = 16
    @Flag(help: "Print one JSON object.")
    var json: Bool = false

    func run() async throws {
        guard context > 0, batch > 0 else { throw ValidationError("--context and --batch have to be at least 1") }
        let bundle: PretrainedModel = try CompressedModel.languageModel(from: URL(fileURLWithPath: model, isDirectory: true))
        if let limit = bundle.model.contextLimit, context > limit {
            throw ValidationError("the model reads at most \(limit) tokens; --context is \(context)")
        }
        let corpus: TextCorpus = try TextCorpus(contentsOf: text.map { URL(fileURLWithPath: $0) })
        let (_, tokens) = try corpus.split(with: bundle.tokenizer, contextLength: context, trainingFraction: 0)
        let characters: Int = corpus.texts.reduce(0) { $0 + $1.unicodeScalars.count }
        let score: LanguageModelScore = bundle.model.score(
            TextWindows(tokens, context: context, rows: batch, seed: 0), charactersPerToken: Double(characters) / Double(tokens.count))
        if json {
            let fields: [String: Double] = [
                "loss": score.loss, "perplexity": score.perplexity, "bits_per_character": score.bitsPerCharacter,
                "tokens": Double(score.tokens),
            ]
            print(String(decoding: try JSONEncoder().encode(fields), as: UTF8.self))
        } else {
            print(
                String(
                    format: "%d tokens: loss %.4f nats, perplexity %.2f, %.4f bits per character", score.tokens, score.loss,
                    score.perplexity,
                    score.bitsPerCharacter))
        }
    }
}
