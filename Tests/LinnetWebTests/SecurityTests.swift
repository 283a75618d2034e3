import Foundation
import Testing

@testable import LinnetWeb
@testable import Papers

@Suite(.timeLimit(.minutes(1))) struct SecurityTests {
    @Test func whatComesFromOutsideIsEscaped() async throws {
        try await TestSite().visit { visitor in
            for path in [
                "/", "/p/hostile", "/results", "/trending", "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/p/%3Cscript%3E",
                "/?q=%22%CC%81+x=%22",
            ] {
                let page: Answer = try await visitor.get(path)
                #expect(!page.text.contains("<script>alert") && !page.text.contains("<img>") && !page.text.contains("<script>."), "\(path)")
                // A quotation mark with a combining mark behind it ends an attribute too.
                #expect(!page.hasQuoteBeforeMark, "\(path)")
            }
            let page: Answer = try await visitor.get("/p/hostile")
            #expect(page.text.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;quoted&#39;"))
        }
    }

    @Test func headersKeepBrowsersFromLoadingAnythingElse() async throws {
        try await TestSite().visit { visitor in
            for path in ["/", "/nowhere", "/static/app.js", "/feed.xml", "/api/search?q=a"] {
                let answer: Answer = try await visitor.get(path)
                let policy: String = try #require(answer.header("Content-Security-Policy"), "\(path)")
                #expect(policy.hasPrefix("default-src 'self'") && !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"))
                #expect(answer.header("X-Content-Type-Options") == "nosniff" && answer.header("X-Frame-Options") == "DENY")
            }
            // No page has a script or a style of its own, nor a handler in an attribute.
            for path in ["/", "/p/deltanet", "/runs", "/results", "/subscribe", "/nowhere"] {
                let text: String = try await visitor.get(path).text
                #expect(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick="), "\(path)")
                #expect(!text.contains("<script>"), "\(path)")
            }
        }
    }

    @Test func formsFromElsewhereAreRefused() async throws {
        let site: TestSite = try TestSite()
        try await site.visit { visitor in
            // No session, a wrong token, another session's token, another site's page.
            #expect(try await visitor.post("/upvote/gla", [("token", "0")]).status == 403)
            try await visitor.get("/")
            #expect(try await visitor.post("/upvote/gla", [("token", String(repeating: "0", count: 64))]).status == 403)
            let token: String = await visitor.token
            await visitor.forgetCookies()
            #expect(try await visitor.post("/upvote/gla", [("token", token)]).status == 403)
            try await visitor.get("/")
            for path in ["/upvote/gla", "/p/gla/run", "/subscribe", "/confirm", "/jobs/1/cancel"] {
                #expect(try await visitor.post(path, headers: ["Sec-Fetch-Site": "cross-site"]).status == 403, "\(path)")
            }
            #expect(try site.store.votes(of: "gla") == 0)
            let own: Answer = try await visitor.post("/upvote/gla", headers: ["Sec-Fetch-Site": "same-origin"])
            #expect(own.status == 303 && own.location == "/p/gla")
            #expect(try site.store.votes(of: "gla") == 1)
            #expect(try await visitor.get("/p/gla").text.contains("1 vote"))
        }
    }

    @Test func formsHaveLimits() async throws {
        try await TestSite({ $0.bodyTimeout = 0.3 }).visit(.live) { visitor in
            try await visitor.get("/")
            #expect(try await visitor.post("/subscribe", [("email", String(repeating: "a", count: 17_000))]).status == 413)
            #expect(try await visitor.post("/subscribe", headers: ["Content-Type": "text/plain"]).status == 415)
            #expect(try await visitor.post("/subscribe", (0..<70).map { ("f\($0)", "") }).status == 400)
            let headers: [String: String] = ["Content-Type": "application/x-www-form-urlencoded"]
            for body in ["email=%zz", "email=%ff", "email=%00", "email=%"] {
                #expect(try await visitor.send(.post, "/subscribe", headers: headers, body: body).status == 400, "\(body)")
            }
            #expect(try await visitor.get("/?q=\(String(repeating: "a", count: 5000))").status == 414)
            // A body that never comes.
            let slow: RawConnection = try RawConnection(port: visitor.port)
            slow.send(
                "POST /subscribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na="
            )
            #expect(await slow.receive(within: 5).hasPrefix("HTTP/1.1 408"))
            #expect(try await visitor.get("/").status == 200)
        }
    }

    @Test func onlyThisMachinesNamesAreAnswered() async throws {
        try await TestSite().visit(.live) { (visitor: Visitor) async throws in
            func status(_ host: String) async throws -> String {
                let connection: RawConnection = try RawConnection(port: visitor.port)
                connection.send("GET /health HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                return String(await connection.receive(within: 5).prefix(12))
            }
            for host in ["localhost:80", "127.0.0.1", "127.3.2.1:8090", "[::1]:8090", "LOCALHOST"] {
                #expect(try await status(host) == "HTTP/1.1 200", "\(host)")
            }
            for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "128.0.0.1", "127.0.0.256"] {
                #expect(try await status(host) == "HTTP/1.1 421", "\(host)")
            }
        }
    }

    @Test func votesAndSubscriptionsAreRationed() async throws {
        try await TestSite({ $0.votesPerHour = 2 }).visit { visitor in
            try await visitor.get("/")
            for _ in 0..<2 { #expect(try await visitor.post("/upvote/gla").status == 303) }
            let late: Answer = try await visitor.post("/upvote/gla")
            #expect(late.status == 429 && late.headers[.retryAfter] == "3600")
            for index in 0..<5 { #expect(try await visitor.post("/subscribe", [("email", "a\(index)@example.org")]).status == 200) }
            #expect(try await visitor.post("/subscribe", [("email", "b@example.org")]).status == 429)
        }
    }

    @Test func rationsAreByVisitorAndTime() throws {
        let clock: TestClock = TestClock(TestSite.now)
        let limiter: RateLimiter = RateLimiter(2, per: 60, now: { clock.now })
        for _ in 0..<2 { try limiter.admit("a", to: "x") }
        #expect(throws: WebError.self) { try limiter.admit("a", to: "x") }
        try limiter.admit("b", to: "x")
        clock.advance(61)
        try limiter.admit("a", to: "x")
        // Memory has a bound.
        for index in 0..<30_000 { try limiter.admit("visitor \(index)", to: "x") }
    }

    @Test func anAccessTokenIsAskedFor() async throws {
        let token: String = "a-token-of-many-bytes"
        try await TestSite(token: token).visit { visitor in
            let turned: Answer = try await visitor.get("/")
            #expect(turned.status == 303 && turned.location == "/login")
            #expect(try await visitor.get("/api/search?q=a", headers: ["Accept": "*/*"]).status == 401)
            #expect(try await visitor.post("/upvote/gla").status == 401)
            for open in ["/health", "/static/style.css", "/unsubscribe?t=a"] {
                #expect(try await visitor.get(open).status == 200, "\(open)")
            }
            let basic: String = Data("reader:\(token)".utf8).base64EncodedString()
            for good in ["Bearer \(token)", "Basic \(basic)"] {
                #expect(try await visitor.get("/feed.xml", headers: ["Authorization": good]).status == 200)
            }
            for bad in ["Bearer a", "Bearer \(token)a", "Basic \(token)", "Basic !", token] {
                #expect(try await visitor.get("/feed.xml", headers: ["Authorization": bad, "Accept": "*/*"]).status == 401)
            }
            try await visitor.get("/login")
            #expect(try await visitor.post("/login", [("access", "wrong")]).status == 401)
            #expect(try await visitor.post("/login", [("access", token)]).status == 303)
            #expect(try await visitor.get("/").status == 200)
            for _ in 0..<8 { try await visitor.post("/login", [("access", "guess")]) }
            #expect(try await visitor.post("/login", [("access", token)]).status == 429)
        }
    }

    @Test func whatOthersReachNeedsAToken() {
        for host in ["0.0.0.0", "::", "192.168.1.5", "papers.example.org", "127.0.0.1.nip.io"] {
            #expect(throws: (any Error).self, "\(host)") { try WebConfiguration(host: host) }
            #expect(throws: Never.self) { try WebConfiguration(host: host, accessToken: "0123456789abcdef", address: "https://a.example") }
        }
        for host in ["127.0.0.1", "localhost", "::1", "127.9.9.9"] { #expect(throws: Never.self) { try WebConfiguration(host: host) } }
        #expect(throws: (any Error).self) { try WebConfiguration(accessToken: "short") }
        #expect(throws: (any Error).self) { try WebConfiguration(port: 70_000) }
        #expect(throws: (any Error).self) { try WebConfiguration(address: "ftp://a.example") }
    }
}
