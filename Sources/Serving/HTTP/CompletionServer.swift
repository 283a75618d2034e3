import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Torch
import UnixSignals

/// An HTTP server with the part of OpenAI's API that language models without tools need: `/v1/completions`, `/v1/chat/completions` (both
/// whole or as server-sent events), `/v1/models`, and beside them `/health` and `/metrics`.
public struct CompletionServer: Sendable {
    /// Which signal ended a server.
    public enum End: Sendable { case interrupted, terminated }

    private let engine: GenerationEngine
    private let configuration: ServerConfiguration

    public init(_ engine: GenerationEngine, configuration: ServerConfiguration) {
        self.engine = engine
        self.configuration = configuration
    }

    private static let routes: [String: HTTPRequest.Method] = [
        "/v1/completions": .post, "/v1/chat/completions": .post, "/v1/models": .get, "/health": .get, "/metrics": .get,
    ]

    /// Serves until SIGINT or SIGTERM; then refuses new requests, gives the running ones the configuration's time to end, and returns.
    /// A second signal ends them at once.
    /// - Parameter onListening: called with the port.
    /// - Throws: `ConfigurationError` when the address cannot be listened at.
    @discardableResult
    public func run(onListening: @escaping @Sendable (Int) -> Void) async throws -> End? {
        let signals: UnixSignalsSequence = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        var services: ServiceGroupConfiguration = ServiceGroupConfiguration(
            services: [application(onListening: onListening)], logger: Self.logger)
        // A client that does not read its answer must not keep the server.
        services.maximumGracefulShutdownDuration = .seconds(5)
        let group: ServiceGroup = ServiceGroup(configuration: services)
        let first: SignalRecord = SignalRecord()
        let watch: Task<Void, Never> = Task { await stop(group, on: signals, first) }
        defer { watch.cancel() }
        do { try await group.run() } catch {
            if let end = await first.end { return end }
            await engine.shutDown(grace: .zero)
            throw ConfigurationError(
                "cannot listen at \(configuration.host):\(configuration.port) (\(error)); give another --host or --port")
        }
        return await first.end
    }

    private actor SignalRecord {
        private(set) var end: End?

        /// Whether it is the first.
        func record(_ signal: UnixSignal) -> Bool {
            guard end == nil else { return false }
            end = signal == .sigint ? .interrupted : .terminated
            return true
        }
    }

    private func stop(_ group: ServiceGroup, on signals: UnixSignalsSequence, _ record: SignalRecord) async {
        await withDiscardingTaskGroup { tasks in
            for await signal in signals {
                let grace: Duration = await record.record(signal) ? .seconds(configuration.grace) : .zero
                tasks.addTask {
                    await engine.shutDown(grace: grace)
                    await group.triggerGracefulShutdown()
                }
            }
        }
    }

    /// Errors reach clients and the metrics; a line on standard output for each request is for a proxy to write.
    private static let logger: Logger = Logger(label: "linnet", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The server as a service of Swift Service Lifecycle, for programs that run others beside it. It handles no signals.
    public func application(onListening: @escaping @Sendable (Int) -> Void = { _ in }) -> some ApplicationProtocol {
        let port: Int = configuration.port
        let channels: HTTP1Channel.Configuration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [DisconnectHandler()],
            idleTimeout: .milliseconds(Int64(configuration.idleTimeout * 1000)))
        return Application(
            router: router, server: .http1(configuration: channels),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: port), serverName: "linnet", backlog: 1024),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? port) }, logger: Self.logger)
    }

    private var router: Router<ServingContext> {
        let router: Router<ServingContext> = Router(context: ServingContext.self)
        router.add(middleware: ErrorMiddleware(metrics: engine.metrics, routes: Self.routes))
        if let key = configuration.apiKey { router.add(middleware: AuthorizationMiddleware(key: key)) }
        let completions: CompletionHandler = CompletionHandler(engine: engine, configuration: configuration)
        router.post("/v1/completions", use: completions.completions)
        router.post("/v1/chat/completions", use: completions.chat)
        let (engine, name): (GenerationEngine, String) = (engine, configuration.modelName)
        router.get("/v1/models") { _, _ in jsonResponse(ModelList(data: [ModelList.Model(id: name)])) }
        router.get("/v1/models/:id") { _, context in
            let id: String = context.parameters.get("id") ?? ""
            guard id == name else { throw APIError.modelNotFound(id, served: name) }
            return jsonResponse(ModelList.Model(id: name))
        }
        router.get("/health") { _, _ in
            if engine.isStopping { throw APIError.stopping }
            return jsonResponse(["status": "ok"])
        }
        router.get("/metrics") { _, _ in
            let page: ByteBuffer = ByteBuffer(string: engine.metrics.page(load: engine.load))
            return Response(status: .ok, headers: [.contentType: "text/plain; version=0.0.4"], body: ResponseBody(byteBuffer: page))
        }
        return router
    }
}

/// `GET /v1/models`.
private struct ModelList: Encodable {
    struct Model: Encodable {
        let id: String
        var object: String = "model"
        var created: Int = 0
        // `owned_by` is the name on the wire.
        var ownedBy: String = "linnet"

        private enum CodingKeys: String, CodingKey {
            case id, object, created
            case ownedBy = "owned_by"
        }
    }

    var object: String = "list"
    let data: [Model]
}
