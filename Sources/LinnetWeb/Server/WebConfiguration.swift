import Foundation
import Papers
import Torch

/// Where the web application listens, who may use it, and the bounds of its requests.
public struct WebConfiguration: Sendable {
    /// Names and addresses that only this machine reaches.
    public static let loopbackHosts: Set<String> = ["127.0.0.1", "::1", "localhost"]

    public var host: String
    /// 0 takes a free one.
    public var port: Int
    /// What visitors have to give when other machines can reach the application; nil asks for nothing.
    public var accessToken: String?
    /// Address under which readers reach the application: for the links in feed and mails.
    public var site: PaperSite
    /// Address of the documentation that `make docs` built, if it is served somewhere.
    public var documentation: String?
    /// Plotly's script; without it, plots are the SVG drawings.
    public var plotLibrary: URL?
    /// Most bytes of a request's body.
    public var bodyLimit: Int = 16 * 1024
    /// Most bytes of a request's path and query.
    public var pathLimit: Int = 4096
    /// Seconds that a request's body may take to come.
    public var bodyTimeout: Double = 10
    /// Seconds after which an idle connection is closed.
    public var idleTimeout: Double = 30
    /// Most connections at a time.
    public var maximumConnections: Int = 2048
    /// Most pages at a time that follow a running experiment.
    public var maximumEventStreams: Int = 64
    /// Seconds between signs of life on a stream without events.
    public var heartbeat: Double = 10
    /// Upvotes that one address may give in an hour.
    public var votesPerHour: Int = 60
    /// Experiments that one address may start in an hour.
    public var jobsPerHour: Int = 60

    /// - Throws: `ConfigurationError` when the port is out of range, or when an address that other machines reach comes without an
    ///   access token.
    public init(
        host: String = "127.0.0.1", port: Int = 8090, accessToken: String? = nil, address: String? = nil, documentation: String? = nil,
        plotLibrary: URL? = nil
    ) throws {
        if !(0...65_535).contains(port) { throw ConfigurationError("web: port is \(port); it has to be 0 to 65535") }
        if let accessToken, accessToken.utf8.count < 16 {
            throw ConfigurationError("web: the access token has \(accessToken.utf8.count) bytes; it needs at least 16")
        }
        if accessToken == nil, !Self.isLoopback(host) {
            throw ConfigurationError("web: other machines reach \(host), so an access token is needed (--access-token or LINNET_WEB_TOKEN)")
        }
        self.host = host
        self.port = port
        self.accessToken = accessToken
        self.documentation = documentation
        self.plotLibrary = plotLibrary
        // An address to listen at need not be one that has a name for mails and tags.
        let shown: String = host.contains(":") ? "[\(host)]" : host
        site = try address.map { try PaperSite($0) } ?? PaperSite("http://\(shown):\(port)", authority: PaperSite.local.authority)
    }

    /// Whether only this machine reaches a host's name or address.
    static func isLoopback(_ host: String) -> Bool { loopbackHosts.contains(host) || isLoopbackAddress(host) }

    /// 127.0.0.0/8.
    private static func isLoopbackAddress(_ host: String) -> Bool {
        let parts: [UInt8?] = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
    }

    /// Plotly's script where `make` put it: `$LINNET_PLOTLY`, or in `.libtorch` of the current folder or of one that holds the running program.
    public static func installedPlotLibrary() -> URL? {
        let files: FileManager = FileManager.default
        if let path = ProcessInfo.processInfo.environment["LINNET_PLOTLY"], !path.isEmpty {
            return files.isReadableFile(atPath: path) ? URL(fileURLWithPath: path) : nil
        }
        let program: URL = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        var folders: [URL] = [URL(fileURLWithPath: files.currentDirectoryPath)]
        var folder: URL = program.deletingLastPathComponent()
        for _ in 0..<4 where folder.path != "/" {
            folders.append(folder)
            folder.deleteLastPathComponent()
        }
        for folder in folders {
            let library: URL = folder.appendingPathComponent(".libtorch/lib")
            for python in (try? files.contentsOfDirectory(atPath: library.path))?.sorted() ?? [] where python.hasPrefix("python3") {
                let script: URL = library.appendingPathComponent("\(python)/site-packages/plotly/package_data/plotly.min.js")
                if files.isReadableFile(atPath: script.path) { return script }
            }
        }
        return nil
    }
}
