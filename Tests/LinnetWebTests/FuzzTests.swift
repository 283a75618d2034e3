import Foundation
import GRDB
import TestSupport
import Testing

@testable import LinnetWeb
@testable import Papers

/// Malformed requests: whatever comes over the wire, the server stays up. A trap would end the test's process.
@Suite(.timeLimit(.minutes(3))) struct FuzzTests {
    private static let count: Int = 10_000
    private static let clients: Int = 16

    @Test func tenThousandMalformedRequests() async throws {
        let site: TestSite = try TestSite({ $0.bodyTimeout = 1 })
        try await site.visit(.live) { visitor in
            let port: Int = visitor.port
            let failures: [String] = await withTaskGroup(of: [String].self) { group in
                for client in 0..<Self.clients {
                    group.addTask { await onItsOwnThread { Self.attack(port, seed: UInt64(client), count: Self.count / Self.clients) } }
                }
                return await group.reduce([], +)
            }
            #expect(failures.isEmpty, "\(failures)")
            #expect(try await visitor.get("/").status == 200)
            #expect(try await visitor.get("/?q=linear").status == 200)
            let integrity: String? = try await site.store.pool.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") }
            #expect(integrity == "ok")
        }
    }

    /// The requests that could not be sent, or that ended in an error of the server's.
    private static func attack(_ port: Int, seed: UInt64, count: Int) -> [String] {
        var maker: MalformedRequests = MalformedRequests(seed: seed)
        var failures: [String] = []
        for _ in 0..<count {
            let request: [UInt8] = maker.next()
            guard let connection = try? RawConnection(port: port) else {
                failures.append("no connection")
                continue
            }
            connection.send(request)
            connection.finishSending()
            let answer: String = connection.blockingReceive(within: 5)
            // 501 says that a transfer coding is not known; nothing else is the server's fault.
            if answer.hasPrefix("HTTP/1.1 5"), !answer.hasPrefix("HTTP/1.1 501") {
                failures.append("\(answer.prefix(16)) to \(String(decoding: request.prefix(300), as: UTF8.self))")
            }
        }
        return failures
    }
}

/// Requests that are wrong in one or several ways.
struct MalformedRequests {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private static let paths: [String] = [
        "/", "/?q=", "/?q=%", "/?q=%ff%fe", "/?page=-1", "/?page=99999999999999999999", "/?group=%00", "/p/", "/p/%2e%2e%2f%2e%2e",
        "/p/deltanet%00",
        "/p/" + String(repeating: "é", count: 90), "/runs/-9223372036854775808", "/runs/9223372036854775808", "/runs?run=1&run=1&run=",
        "/runs/1/curves.json",
        "/static/../../etc/passwd", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/static/style.css?v=", "//evil.example/", "/\\evil", "*", "",
        "p",
        "http://localhost/", "http://", "http://[::1", "/feed.xml?q=\"", "/api/search?q=year:..", "/api/search?q=\"\"\"", "/api/search?q=-",
        "/jobs/x/events",
        "/jobs/99999999999999999999/events", "/login", "/confirm?t=" + String(repeating: "a", count: 300), "/unsubscribe?t=%0d%0a",
        "/?" + String(repeating: "&", count: 500),
        "/?q=" + String(repeating: "(", count: 150), "/?q=NEAR(a,b)%20OR%20*", "/#", "/?#", "/?q=a#b", "/%", "/%%%", "/p/%F0%9F%A6%84",
        "/curves.json?run=%31",
    ]
    private static let methods: [String] = [
        "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "G T", "", "PATCH", "BREW",
    ]
    private static let headers: [String] = [
        "Host: localhost", "Host: ", "Host: a\u{0}b", "Host: [", "Host: ]:", "Content-Length: -1", "Content-Length: 99999999999999999999",
        "Content-Length: 5",
        "Content-Length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: x",
        "Expect: 100-continue",
        "Cookie: linnet-session=" + String(repeating: "f", count: 32), "Cookie: =;=;;", "Cookie: linnet-session",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: ;", "Sec-Fetch-Site: same-origin", "If-None-Match: \"", "Accept: text/html", "Connection: close, upgrade",
        "Upgrade: websocket",
        "X-Linnet-Part: results", "Authorization: Basic ====", ": empty", "no colon", "A: " + String(repeating: "b", count: 20_000),
        "Range: bytes=9-1",
    ]
    private static let bodies: [String] = [
        "", "a", "token=%", "token=&token=&email=@", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "-1\r\n\r\n",
        "t=" + String(repeating: "x", count: 20_000),
        "scale=full", "email=a%40b%0d%0aBcc:x&frequency=never&topic=none", String(repeating: "&=", count: 400),
        "List-Unsubscribe=One-Click",
    ]

    mutating func next() -> [UInt8] {
        if Int.random(in: 0..<12, using: &generator) == 0 {
            let count: Int = Int.random(in: 0..<600, using: &generator)
            return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        let version: String = pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "HTTP/1.1 extra"])
        var lines: [String] = ["\(pick(Self.methods)) \(pick(Self.paths)) \(version)"]
        for _ in 0..<Int.random(in: 0..<6, using: &generator) { lines.append(pick(Self.headers)) }
        let ending: String = pick(["\r\n", "\r\n", "\r\n", "\n", "\r"])
        var bytes: [UInt8] = Array((lines.joined(separator: ending) + ending + ending + pick(Self.bodies)).utf8)
        for _ in 0..<pick([0, 0, 1, 3, 20]) where !bytes.isEmpty { damage(&bytes) }
        return bytes
    }

    private mutating func pick<Element>(_ all: [Element]) -> Element { all[Int.random(in: all.indices, using: &generator)] }

    private mutating func damage(_ bytes: inout [UInt8]) {
        let place: Int = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: bytes.prefix(Int.random(in: 1...40, using: &generator)), at: place)
        default: bytes.removeSubrange(place...)
        }
    }
}
