import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A query interface like arXiv's on this machine, in Python. What a query names decides the answer: "slow" gets none, "drip" one that does not end, "large" is long, "busy" is
/// put off once, "closed" is refused, "cut" ends early, "wrong" is arXiv's report of an error; any other has seven papers.
public final class FakeArXiv {
    public static let isAvailable: Bool = PythonPeer.has("http.server")
    public static let missing: String = "no Python: run `make test`, or set LINNET_PYTHON"

    private let process: Process
    private let port: Int

    /// What the server was asked.
    public struct Request: Decodable, Sendable {
        public let query: [String: [String]]
        public let agent: String
    }

    public init() throws {
        process = try PythonPeer.start(Self.script)
        guard let pipe = process.standardOutput as? Pipe,
            let port = Int(String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self).prefix { $0.isNumber })
        else { throw PythonPeer.Failure(description: "the server did not start") }
        self.port = port
    }

    deinit { process.terminate() }

    public var address: String { "http://127.0.0.1:\(port)/api/query" }

    public func requests() throws -> [Request] {
        guard let log = URL(string: "http://127.0.0.1:\(port)/log") else { return [] }
        return try JSONDecoder().decode([Request].self, from: Data(contentsOf: log))
    }

    private static let script: String = #"""
        import http.server, json, sys, time, urllib.parse
        log = []
        ENTRY = ('<entry><id>http://arxiv.org/abs/2501.{0:05d}v1</id><published>2025-01-0{1}T00:00:00Z</published>'
                 '<title>Paper number {0} of the answer</title><summary>Some words.</summary><author><name>A Name</name></author></entry>')
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *parts): pass
            def answer(self, status, body, headers={}):
                self.send_response(status)
                for name, value in headers.items(): self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def drip(self):
                self.send_response(200)
                self.send_header("Content-Length", "50000")
                self.end_headers()
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)
            def do_GET(self):
                parts = urllib.parse.urlsplit(self.path)
                if parts.path == "/log": return self.answer(200, json.dumps(log).encode())
                query = urllib.parse.parse_qs(parts.query)
                log.append({"query": query, "agent": self.headers.get("User-Agent", "")})
                text = query.get("search_query", [""])[0]
                if "slow" in text: return time.sleep(600)
                if "drip" in text: return self.drip()
                if "closed" in text: return self.answer(403, b"no")
                if "large" in text: return self.answer(200, b" " * 200000)
                if "busy" in text and len(log) == 1: return self.answer(503, b"later", {"Retry-After": "7"})
                if "always" in text: return self.answer(429, b"later", {"Retry-After": "86400"})
                start, most = int(query["start"][0]), int(query["max_results"][0])
                entries = "".join(ENTRY.format(i, i + 1) for i in range(start, min(7, start + most)))
                if "wrong" in text: entries = "<entry><id>http://arxiv.org/api/errors#x</id><title>Error</title></entry>"
                feed = '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">' + entries + "</feed>"
                self.answer(200, feed.encode()[:-9 if "cut" in text else None])
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()
        """#
}
