import Crypto
import Foundation
import Hummingbird
import NIOCore
import Torch

/// Style sheets and scripts, read once when the program starts: no request reaches the file system.
struct Assets: Sendable {
    private struct Asset: Sendable {
        let body: ByteBuffer
        let type: String
        let tag: String
    }

    static let plotLibraryName: String = "plotly.js"
    private var assets: [String: Asset] = [:]
    /// Changes with any of the files; links carry it, so that what a browser has kept is never too old.
    let version: String

    /// - Throws: `ConfigurationError` when the files are missing.
    init(plotLibrary: URL?) throws {
        var files: [String: Data] = try Self.resources("Static")
        if let plotLibrary {
            do { files[Self.plotLibraryName] = try Data(contentsOf: plotLibrary) } catch {
                throw ConfigurationError(
                    "web: \(plotLibrary.path) cannot be read; give Plotly's plotly.min.js with --plotly, or leave it out")
            }
        }
        var hash: SHA256 = SHA256()
        for (name, data) in files.sorted(by: { $0.key < $1.key }) {
            hash.update(data: data)
            let digest: String = SHA256.hash(data: data).prefix(8).map { String(format: "%02x", $0) }.joined()
            assets[name] = Asset(body: ByteBuffer(bytes: data), type: Self.type(of: name), tag: "\"\(digest)\"")
        }
        version = hash.finalize().prefix(6).map { String(format: "%02x", $0) }.joined()
    }

    var hasPlotLibrary: Bool { assets[Self.plotLibraryName] != nil }

    /// Names and contents, for an export.
    var files: [(name: String, data: Data)] { assets.map { ($0.key, Data($0.value.body.readableBytesView)) }.sorted { $0.0 < $1.0 } }

    /// Answers for one name.
    ///
    /// - Throws: ``WebError`` when there is no such file.
    func response(_ name: String, to request: Request) throws -> Response {
        guard let asset = assets[name] else { throw WebError.notFound("there is no such file") }
        let isCurrent: Bool = request.uri.query == "v=\(version)"
        let headers: HTTPFields = [
            .contentType: asset.type, .eTag: asset.tag,
            .cacheControl: isCurrent ? "public, max-age=31536000, immutable" : "public, no-cache",
        ]
        if request.headers[.ifNoneMatch] == asset.tag { return Response(status: .notModified, headers: headers) }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: asset.body))
    }

    /// The files of a folder that comes with the program.
    static func resources(_ folder: String) throws -> [String: Data] {
        guard let url = Bundle.module.url(forResource: folder, withExtension: nil),
            let names = try? FileManager.default.contentsOfDirectory(atPath: url.path)
        else { throw ConfigurationError("web: the pages' templates are missing beside the program; build it again with `make build`") }
        return try Dictionary(uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: url.appendingPathComponent($0))) })
    }

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "svg": "image/svg+xml"
        default: "application/octet-stream"
        }
    }
}
