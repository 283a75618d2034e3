import ArgumentParser
import Foundation
import LinnetWeb
import Papers
import Torch

struct WebCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "web",
        abstract: "Serve the catalogue as a web application: papers, search, results, runs, feed and subscriptions.",
        discussion: """
            The pages need no script; with one, search answers as you type, plots are interactive and running experiments report their progress.
            Only this machine reaches the address, unless --host says otherwise: then an access token is needed. Mails go to the SMTP server that
            LINNET_SMTP_HOST or LINNET_SMTP_FILE names, or else as .eml files into a folder.

            Examples:
              linnet web
              linnet web --port 8090 --results results
              LINNET_WEB_TOKEN=$(openssl rand -hex 16) linnet web --host 0.0.0.0 --address https://papers.example.org
              linnet web --export site
            """)

    @Option(help: "Address to listen at; one that other machines reach needs an access token.")
    var host: String = "127.0.0.1"
    @Option(help: "Port to listen at; 0 takes a free one, which is printed.")
    var port: Int = 8090
    @Option(name: .customLong("access-token"), help: "What visitors have to give, at least 16 bytes; LINNET_WEB_TOKEN by default.")
    var accessToken: String?
    @Option(help: "Address under which readers reach the application, for links in feed and mails; by default http://HOST:PORT.")
    var address: String?
    @Option(help: "The catalogue's file; by default $LINNET_PAPERS or ~/.local/share/linnet/papers.db.")
    var db: String?
    @Option(help: "Folder with the reports of experiments: those there are shown, and new ones are written there.")
    var results: String = "results"
    @Option(help: "Experiments that run at a time.")
    var jobs: Int = 1
    @Option(help: "Folder for mails, in place of the SMTP server that is set; without either, outbox beside the catalogue.")
    var outbox: String?
    @Option(help: "Plotly's plotly.min.js; by default the one that make installs. Without it, plots are drawings.")
    var plotly: String?
    @Option(help: "Address of the documentation that `make docs` builds, for links to the components.")
    var documentation: String?
    @Option(help: "Write the pages into this folder and end, instead of serving them.")
    var export: String?

    func run() async throws {
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs has to be 1 to 64") }
        let environmentToken: String? = ProcessInfo.processInfo.environment["LINNET_WEB_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
        let configuration: WebConfiguration = try WebConfiguration(
            host: host, port: port, accessToken: accessToken ?? environmentToken, address: address, documentation: documentation,
            plotLibrary: plotly.map { URL(fileURLWithPath: $0) } ?? WebConfiguration.installedPlotLibrary())
        let store: PaperStore = try PaperStore(db ?? PaperStore.standardPath)
        for (file, reason) in try store.recordReports(in: results) {
            write("warning: \(results)/\(file) is not shown: \(reason)\n", to: .standardError)
        }
        if let export {
            let count: Int = try await WebApplication(store, configuration: configuration).export(to: export)
            return print("\(count) pages in \(export)")
        }
        try await serve(store, configuration)
    }

    private func serve(_ store: PaperStore, _ configuration: WebConfiguration) async throws {
        let queue: ReproductionQueue = ReproductionQueue(
            ReproductionQueue.Configuration(results: results, jobs: jobs, capacity: 20), store: store)
        let transport: any MailTransport = try MailTransports.standard(catalogue: store.path, outbox: outbox)
        let subscriptions: DigestService = try DigestService(
            store: store, transport: transport, settings: DigestSettings(site: configuration.site))
        let application: WebApplication = try WebApplication(
            store, jobs: QueueRunner(queue), subscriptions: subscriptions, configuration: configuration)
        let end: WebApplication.End? = try await application.run { port in
            let shown: String = host.contains(":") ? "[\(host)]" : host
            write("the catalogue is at http://\(shown):\(port) (Ctrl-C stops)\n", to: .standardOutput)
        }
        if end == .interrupted { throw ExitCode(130) }
    }

    private func write(_ text: String, to handle: FileHandle) { handle.write(Data(text.utf8)) }
}
