import ArgumentParser
import Efficiency
import Foundation
import SequenceModels
import Training

struct GenerateCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a prompt with a trained language model, or serve the model over HTTP.",
        discussion: """
            The text is written as it is drawn. Recurrent mixers need the same memory however long it gets. The model is the folder of a training run,
            or one in Hugging Face's format: config.json, model.safetensors (or shards) and tokenizer.json of a Llama or GPT-2 model.

            With --serve, programs written for OpenAI's API can use the model: /v1/completions and /v1/chat/completions, whole or streamed,
            /v1/models, /health and /metrics. Requests that come together are continued as one batch.

            Examples:
              linnet generate --model runs/gla --prompt "ROMEO:" --tokens 500 --temperature 0.8 --top-k 40
              linnet generate --model ~/models/gpt2 --prompt "The linear layer" --tokens 50
              linnet generate --model runs/gla --serve --port 8080
              curl http://127.0.0.1:8080/v1/completions -d '{"prompt": "ROMEO:", "max_tokens": 100, "stream": true}'
            """)

    @Option(help: "Folder of a trained language model.")
    var model: String
    @Option(help: "Text to continue; - reads it from standard input.")
    var prompt: String?
    @Option(help: "Tokens to add.")
    var tokens: Int = 200
    @Option(help: "Divides the logits; 0 takes the likeliest token.")
    var temperature: Double = 0.8
    @Option(name: .customLong("top-k"), help: "Draw from the K likeliest tokens only.")
    var topK: Int?
    @Option(name: .customLong("top-p"), help: "Draw from the likeliest tokens that reach this probability together.")
    var topP: Double = 1
    @Option(name: .customLong("repetition-penalty"), help: "Above 1, makes tokens that were used less likely.")
    var repetitionPenalty: Double = 1
    @Option(help: "Seed of the draw.")
    var seed: UInt64 = 0
    @OptionGroup(title: "Serving") var serving: ServeOptions

    func validate() throws {
        if serving.serve, prompt != nil { throw ValidationError("--serve takes its prompts from requests; leave --prompt out") }
        if !serving.serve, prompt == nil { throw ValidationError("give a --prompt, or --serve") }
    }

    func run() async throws {
        guard let prompt else { return try await serving.run(model: model) }
        let sampling: SamplingConfiguration = try SamplingConfiguration(
            temperature: temperature, topK: topK, topP: topP, repetitionPenalty: repetitionPenalty, seed: seed)
        guard tokens > 0 else { throw ValidationError("--tokens has to be at least 1") }
        let bundle: PretrainedModel = try CompressedModel.languageModel(from: URL(fileURLWithPath: model, isDirectory: true))
        let text: String = prompt == "-" ? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self) : prompt
        let ids: [Int] = try bundle.tokenizer.encode(validating: text)
        guard !ids.isEmpty else { throw ValidationError("the prompt is empty; give at least one character with --prompt") }
        if let limit = bundle.model.contextLimit, ids.count + tokens > limit {
            throw ValidationError("the model reads at most \(limit) tokens; the prompt has \(ids.count) and --tokens adds \(tokens)")
        }
        write(text)
        Interrupt.install()
        var decoder: StreamingDecoder = bundle.tokenizer.streamingDecoder()
        bundle.model.generate(prompt: ids, limit: tokens, sampling: sampling, stop: bundle.endOfTextIDs) { token in
            write(decoder.append(token))
            return !Interrupt.isRequested
        }
        write(decoder.finish() + "\n")
        if Interrupt.isRequested { throw ExitCode(130) }
    }

    private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
