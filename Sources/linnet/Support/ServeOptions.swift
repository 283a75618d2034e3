import ArgumentParser
import Efficiency
import Foundation
import SequenceModels
import Serving
import Training

/// The flags of `linnet generate --serve`.
struct ServeOptions: ParsableArguments {
    @Flag(help: "Serve the model over HTTP, with OpenAI's API; the flags of one text do not apply.")
    var serve: Bool = false
    @Option(help: "Address to listen at; one that other machines reach needs an API key.")
    var host: String = "127.0.0.1"
    @Option(help: "Port to listen at; 0 takes a free one, which is printed.")
    var port: Int = 8080
    @Option(name: .customLong("api-key"), help: "Key that clients have to send; LINNET_API_KEY by default.")
    var apiKey: String?
    @Option(name: .customLong("model-name"), help: "Name of the model for clients; the folder's by default.")
    var modelName: String?
    @Option(
        name: .customLong("chat-template"),
        help: "File with the pattern of a chat message, with {role} and {content}; the default writes the role, the text and an empty line."
    )
    var chatTemplate: String?
    @Option(name: .customLong("max-tokens"), help: "Most tokens that a request may ask for.")
    var maximumTokens: Int = 1024
    @Option(name: .customLong("max-concurrent"), help: "Most texts that are continued at a time, as one batch.")
    var maximumConcurrent: Int = 64
    @Option(name: .customLong("max-queue"), help: "Most texts that wait for a place; more are refused with status 429.")
    var maximumQueue: Int = 256
    @Option(name: .customLong("max-prompt"), help: "Most tokens of a prompt.")
    var maximumPrompt: Int = 32_768
    @Option(name: .customLong("request-timeout"), help: "Seconds from a request's arrival to its end.")
    var requestTimeout: Double = 120
    @Option(name: .customLong("idle-timeout"), help: "Seconds that a connection may take for a request's head and body, or be idle.")
    var idleTimeout: Double = 60
    @Option(name: .customLong("max-body"), help: "Most bytes of a request's body.")
    var bodyLimit: Int = 1 << 20
    @Option(help: "Seconds that running requests get to end after Ctrl-C or SIGTERM.")
    var grace: Double = 10

    /// Serves until a signal.
    func run(model path: String) async throws {
        let folder: URL = URL(fileURLWithPath: path, isDirectory: true)
        let template: ChatTemplate = try chatTemplate.map { try ChatTemplate(contentsOf: URL(fileURLWithPath: $0)) } ?? .plain
        let environmentKey: String? = ProcessInfo.processInfo.environment["LINNET_API_KEY"].flatMap { $0.isEmpty ? nil : $0 }
        let server: ServerConfiguration = try ServerConfiguration(
            modelName: modelName ?? folder.standardizedFileURL.lastPathComponent, host: host, port: port, apiKey: apiKey ?? environmentKey,
            chatTemplate: template, maximumTokens: maximumTokens, bodyLimit: bodyLimit, idleTimeout: idleTimeout, grace: grace)
        let bounds: EngineConfiguration = try EngineConfiguration(
            maximumConcurrent: maximumConcurrent, maximumQueue: maximumQueue, maximumPrompt: maximumPrompt, requestTimeout: requestTimeout)
        let engine: GenerationEngine = try Self.engine(folder, bounds)
        warnOfIgnoredTemplate(in: folder)
        let end: CompletionServer.End? = try await CompletionServer(engine, configuration: server).run { port in
            let shown: String = server.host.contains(":") ? "[\(server.host)]" : server.host
            Self.write("serving \(server.modelName) at http://\(shown):\(port)/v1 (Ctrl-C stops)\n", to: .standardOutput)
        }
        if end == .interrupted { throw ExitCode(130) }
    }

    private static func engine(_ folder: URL, _ bounds: EngineConfiguration) throws -> GenerationEngine {
        let bundle: PretrainedModel = try CompressedModel.languageModel(from: folder)
        let (tokenizer, ends): (any Tokenizer, Set<Int>) = (bundle.tokenizer, bundle.endOfTextIDs)
        return GenerationEngine(bundle.model, tokenizer: tokenizer, endOfText: ends, configuration: bounds)
    }

    /// A template in Jinja that comes with the model is not interpreted, and nobody should have to find that out from the answers.
    private func warnOfIgnoredTemplate(in folder: URL) {
        guard chatTemplate == nil,
            let text = try? String(contentsOf: folder.appendingPathComponent("tokenizer_config.json"), encoding: .utf8),
            text.contains("\"chat_template\"")
        else { return }
        Self.write("warning: the Jinja template in tokenizer_config.json is not interpreted; give --chat-template\n", to: .standardError)
    }

    private static func write(_ text: String, to handle: FileHandle) { handle.write(Data(text.utf8)) }
}
