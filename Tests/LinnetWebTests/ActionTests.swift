import Experiments
import Foundation
import Papers
import Testing

@testable import LinnetWeb

/// Runs and subscriptions.
@Suite(.timeLimit(.minutes(1))) struct ActionTests {
    // MARK: Running experiments

    @Test func aRunIsFollowedByItsEvents() async throws {
        let site: TestSite = try TestSite()
        try await site.visit(.live) { visitor in
            try await visitor.get("/p/gla")
            let started: Answer = try await visitor.post("/p/gla/run", [("scale", "smoke")])
            #expect(started.status == 303 && started.location == "/p/gla#run")
            // Without a script the page loads itself anew while the job is active, and has its state and a button.
            let page: Answer = try await visitor.get("/p/gla")
            #expect(page.text.contains(#"<noscript><meta http-equiv="refresh""#) && page.text.contains(#"data-job="1""#))
            #expect(page.text.contains(#"action="/jobs/1/cancel""#) && page.text.contains("waiting"))
            async let stream: Answer = visitor.get("/jobs/1/events")
            while await !site.runner.hasListener { try await Task.sleep(for: .milliseconds(2)) }
            await site.runner.change("1") {
                $0.state = .running
                $0.line = "step 10 <b>"
                $0.seedsDone = 1
                $0.secondsLeft = 12
            }
            await site.runner.change("1") { $0.state = .finished(.smoke) }
            let answer: Answer = try await stream
            #expect(answer.headers[.contentType] == "text/event-stream; charset=utf-8")
            let events: [[String: Any]] = answer.text.components(separatedBy: "\n\n").filter { $0.hasPrefix("event: state\ndata: ") }
                .compactMap {
                    try? JSONSerialization.jsonObject(with: Data($0.dropFirst("event: state\ndata: ".count).utf8)) as? [String: Any]
                }
            #expect(events.map { $0["label"] as? String } == ["waiting", "running", "smoke: gates passed"])
            #expect(events[1]["line"] as? String == "1 of 2 seeds, about 12 s left, step 10 <b>" && events[1]["done"] as? Int == 1)
            #expect(events[2]["isRunning"] as? Bool == false && events[2]["hasReport"] as? Bool == true)
            #expect(try await !visitor.get("/p/gla").text.contains("http-equiv=\"refresh\""))
        }
    }

    @Test func aRunIsCancelled() async throws {
        let site: TestSite = try TestSite()
        try await site.visit { visitor in
            try await visitor.get("/p/gla")
            try await visitor.post("/p/gla/run", [("scale", "small")])
            let cancelled: Answer = try await visitor.post("/jobs/1/cancel")
            #expect(cancelled.status == 303 && cancelled.location == "/p/gla#run")
            #expect(await site.runner.jobs().map(\.state) == [.cancelled])
            #expect(try await visitor.get("/p/gla").text.contains("cancelled"))
            #expect(try await visitor.post("/jobs/9/cancel").status == 404)
        }
    }

    @Test func whatCannotBeRunIsSaid() async throws {
        try await TestSite({ $0.jobsPerHour = 4 }).visit { visitor in
            try await visitor.get("/p/gla")
            for scale in ["full", "", "x"] { #expect(try await visitor.post("/p/gla/run", [("scale", scale)]).status == 400) }
            #expect(try await visitor.post("/p/low-rank-weights/run", [("scale", "smoke")]).status == 404)
            for slug in ["gla", "deltanet"] { #expect(try await visitor.post("/p/\(slug)/run", [("scale", "smoke")]).status == 303) }
            let full: Answer = try await visitor.post("/p/lssl/run", [("scale", "smoke")])
            #expect(full.status == 409 && full.text.contains("2 runs are waiting already"))
            try await visitor.post("/p/lssl/run", [("scale", "smoke")])
            #expect(try await visitor.post("/p/lssl/run", [("scale", "smoke")]).status == 429)
        }
    }

    @Test func eventStreamsHaveABound() async throws {
        let site: TestSite = try TestSite({ $0.maximumEventStreams = 1 })
        try await site.visit(.live) { visitor in
            try await visitor.get("/p/gla")
            try await visitor.post("/p/gla/run", [("scale", "smoke")])
            let first: RawConnection = try RawConnection(port: visitor.port)
            first.send("GET /jobs/1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(await first.receive(within: 5).hasPrefix("HTTP/1.1 200"))
            #expect(try await visitor.get("/jobs/1/events").status == 503)
            await site.runner.cancel("1")
            var last: Int = 503
            for _ in 0..<100 where last == 503 {
                try await Task.sleep(for: .milliseconds(10))
                last = try await visitor.get("/jobs/1/events").status
            }
            #expect(last == 200)
        }
    }

    // MARK: Subscriptions

    @Test func subscribeConfirmUnsubscribe() async throws {
        let site: TestSite = try TestSite()
        try await site.visit { visitor in
            #expect(try await visitor.get("/subscribe").text.contains(#"name="topic" value="sequence""#))
            let asked: Answer = try await visitor.post(
                "/subscribe", [("email", "reader@example.org"), ("frequency", "daily"), ("topic", "sequence"), ("query", "delta")])
            #expect(asked.status == 200)
            // The answer is the same for an address that has asked already.
            let again: Answer = try await visitor.post("/subscribe", [("email", "reader@example.org"), ("frequency", "weekly")])
            #expect(again.text == asked.text)
            try await site.subscriptions.settle()
            #expect(try await site.subscriptions.subscribers().map(\.state) == [.pending])
            let secret: String = try #require(Self.confirmationSecret(site))
            // Looking at the page is not confirming: mail programs look at links.
            let page: Answer = try await visitor.get("/confirm?t=\(secret)")
            #expect(page.text.contains(#"<button type="submit">Confirm"#))
            #expect(try await site.subscriptions.subscribers().map(\.state) == [.pending])
            #expect(try await visitor.post("/confirm", [("t", secret)]).text.contains("Subscribed"))
            #expect(try await site.subscriptions.subscribers().map(\.state) == [.active])
            #expect(try await visitor.post("/confirm", [("t", secret)]).status == 400)
        }
    }

    @Test func oneClickUnsubscribesWithoutASession() async throws {
        let site: TestSite = try TestSite()
        try await site.subscriptions.add(email: "reader@example.org")
        _ = try await site.subscriptions.confirm(token: try #require(Self.confirmationSecret(site)))
        let link: String = try #require(try await Self.unsubscribeLink(site))
        let path: String = String(link[try #require(link.range(of: "/unsubscribe")).lowerBound...])
        try await site.visit { visitor in
            #expect(try await visitor.get(path).text.contains(#"<button type="submit">Unsubscribe"#))
            #expect(try await site.subscriptions.subscribers().map(\.state) == [.active])
            await visitor.forgetCookies()
            for _ in 0..<2 {
                let done: Answer = try await visitor.post(
                    path, [("List-Unsubscribe", "One-Click"), ("token", "")], headers: ["Sec-Fetch-Site": "cross-site"])
                #expect(done.status == 200)
            }
            #expect(try await site.subscriptions.subscribers().map(\.state) == [.unsubscribed])
            #expect(try await visitor.post("/unsubscribe?t=wrong").status == 400)
            #expect(try await visitor.post("/unsubscribe").status == 400)
        }
    }

    /// What is in the link of the newest mail that asks for a confirmation.
    private static func confirmationSecret(_ site: TestSite) -> String? {
        site.mails.messages.last?.text.components(separatedBy: "/confirm?t=").last?.prefix { !$0.isWhitespace }.description
    }

    /// The address in the header of the first digest that is sent.
    private static func unsubscribeLink(_ site: TestSite) async throws -> String? {
        try await site.sendDigests()
        let header: String? = site.mails.messages.last?.headers.first { $0.name == "List-Unsubscribe" }?.value
        return header?.split(separator: ">").first.map { String($0.drop { $0 == "<" }) }
    }

    @Test func badSubscriptionsAreExplainedInThePage() async throws {
        try await TestSite().visit { visitor in
            try await visitor.get("/subscribe")
            let bad: Answer = try await visitor.post("/subscribe", [("email", "nobody")])
            #expect(bad.status == 400 && bad.text.contains("role=\"alert\"") && bad.text.contains(#"name="email""#))
            #expect(try await visitor.post("/subscribe", [("email", "a@b.c"), ("topic", "none")]).status == 400)
            #expect(try await visitor.post("/subscribe", [("email", "a@b.c"), ("frequency", "hourly")]).status == 400)
            for path in ["/confirm", "/confirm?t=", "/unsubscribe?t=\(String(repeating: "a", count: 300))"] {
                #expect(try await visitor.get(path).status == 400, "\(path)")
            }
        }
    }
}
