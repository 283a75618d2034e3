import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Papers
import ServiceLifecycle
import Torch
import UnixSignals

/// The catalogue as a web application: listing, search, papers, runs, results, feed and subscriptions, in HTML that works without a script.
public struct WebApplication: Sendable {
    /// Which signal ended the server.
    public enum End: Sendable { case interrupted, terminated }

    let site: WebSite
    let renderer: Renderer
    let assets: Assets
    private let configuration: WebConfiguration

    /// - Parameters:
    ///   - store: the catalogue.
    ///   - configuration: address, limits and files.
    ///   - jobs: runs experiments; without it the pages have no button for that.
    ///   - subscriptions: keeps the digest's subscribers; without it nobody can subscribe.
    /// - Throws: `ConfigurationError` when templates or scripts cannot be read.
    public init(
        _ store: PaperStore, jobs: (any JobRunner)? = nil, subscriptions: DigestService? = nil, configuration: WebConfiguration
    ) throws {
        site = WebSite(store: store, jobs: jobs, subscriptions: subscriptions, configuration: configuration)
        assets = try Assets(plotLibrary: configuration.plotLibrary)
        renderer = try Renderer(assets: assets)
        self.configuration = configuration
    }

    /// Serves until SIGINT or SIGTERM, then ends running experiments and returns. A second signal ends the server at once.
    ///
    /// - Parameter onListening: called with the port.
    /// - Throws: `ConfigurationError` when the address cannot be listened at.
    @discardableResult
    public func run(onListening: @escaping @Sendable (Int) -> Void) async throws -> End? {
        let signals: UnixSignalsSequence = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        var services: ServiceGroupConfiguration = ServiceGroupConfiguration(
            services: [application(onListening: onListening)], logger: Self.logger)
        // A browser that does not read its answer must not keep the server.
        services.maximumGracefulShutdownDuration = .seconds(3)
        let group: ServiceGroup = ServiceGroup(configuration: services)
        let record: SignalRecord = SignalRecord()
        let watch: Task<Void, Never> = Task {
            for await signal in signals {
                await record.record(signal)
                await group.triggerGracefulShutdown()
            }
        }
        defer { watch.cancel() }
        // The first search reads the whole catalogue into memory; no visitor should wait for that.
        let warmUp: Task<Void, Never> = Task.detached(priority: .utility) { [site] in try? site.warmUp() }
        defer { warmUp.cancel() }
        var failure: (any Error)?
        do { try await group.run() } catch { failure = error }
        await site.jobs?.shutDown()
        let end: End? = await record.end
        if let failure, end == nil {
            throw ConfigurationError(
                "cannot listen at \(configuration.host):\(configuration.port) (\(failure)); give another --host or --port")
        }
        return end
    }

    private actor SignalRecord {
        private(set) var end: End?

        func record(_ signal: UnixSignal) { end = end ?? (signal == .sigint ? .interrupted : .terminated) }
    }

    private static let logger: Logger = Logger(label: "linnet", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The server as a service of Swift Service Lifecycle. It handles no signals.
    public func application(onListening: @escaping @Sendable (Int) -> Void = { _ in }) -> some ApplicationProtocol {
        let port: Int = configuration.port
        let channels: HTTP1Channel.Configuration = HTTP1Channel.Configuration(
            idleTimeout: .milliseconds(Int64(configuration.idleTimeout * 1000)),
            httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                maxHeaderFieldSize: 16 * 1024, maxHeaderListSize: 32 * 1024, maxHeaderFieldCount: 100))
        return Application(
            router: router, server: .http1(configuration: channels),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: port), serverName: "linnet", backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.maximumConnections, logger: Self.logger)),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? port) }, logger: Self.logger)
    }

    private var router: Router<WebContext> {
        let secrets: Secrets = Secrets(accessToken: configuration.accessToken)
        let router: Router<WebContext> = Router(context: WebContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: SecurityHeadersMiddleware())
        router.add(middleware: ErrorMiddleware(renderer: renderer))
        router.add(middleware: RequestCheckMiddleware(configuration: configuration))
        router.add(middleware: SessionMiddleware(configuration: configuration))
        if configuration.accessToken != nil { router.add(middleware: AccessMiddleware(secrets: secrets)) }
        let pages: PageHandlers = PageHandlers(site: site, renderer: renderer, assets: assets, secrets: secrets)
        pages.register(in: router)
        let forms: FormReader = FormReader(configuration: configuration, secrets: secrets)
        ActionHandlers(pages: pages, forms: forms).register(in: router)
        SubscriptionHandlers(pages: pages, forms: forms).register(in: router)
        return router
    }
}
