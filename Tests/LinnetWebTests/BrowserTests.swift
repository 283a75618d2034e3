import Experiments
import Foundation
import Papers
import TestSupport
import Testing

@testable import LinnetWeb

/// The application in a real, headless Chromium; see Browser/browser.py for what is done there. Screenshots go to .build/screenshots.
@Suite(.timeLimit(.minutes(8))) struct BrowserTests {
    private static let chromium: String? = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    private static let isPossible: Bool = chromium != nil && PythonPeer.has("playwright", "axe_playwright_python")
    private static let script: URL = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "Browser/browser.py")

    @Test(.enabled(if: isPossible, "needs Chromium, and Python with playwright and axe-playwright-python"))
    func flowsLooksAndAccessibility() async throws {
        let mailbox: String = FileManager.default.temporaryDirectory.path + "/mailbox-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: mailbox) }
        let site: TestSite = try TestSite({ $0.plotLibrary = WebConfiguration.installedPlotLibrary() }, mails: FolderTransport(mailbox))
        for (index, slug) in ["deltanet", "lssl"].enumerated() {
            try site.store.record(
                TestSite.report(slug, started: 1_795_510_000 + Double(index) * 1000, methods: ["softmax", "linear", "delta"]))
        }
        let shots: String = TestPaths.packageRoot.path + "/.build/screenshots"
        try await site.visit(.live) { visitor in
            let helper: Task<Void, Never> = Task { await Self.play(site, mailbox: mailbox) }
            defer { helper.cancel() }
            let address: String = "http://127.0.0.1:\(visitor.port)"
            let result: String = try await Self.drive(address, shots, mailbox)
            #expect(result == "no problems\n")
        }
    }

    /// Runs what is queued, quickly, and sends the digest when the script asks for it.
    private static func play(_ site: TestSite, mailbox: String) async {
        var started: Int = 0
        while !Task.isCancelled {
            for job in await site.runner.jobs() where job.isActive && job.scale == .smoke {
                started += 1
                for done in 0..<2 {
                    await site.runner.change(job.id) {
                        ($0.state, $0.seedsDone, $0.line, $0.secondsLeft) = (.running, done, "step \(done * 50) of 100", 2)
                    }
                    try? await Task.sleep(for: .milliseconds(1200))
                }
                try? site.store.record(TestSite.report(job.slug, started: 1_795_590_000 + Double(started)))
                await site.runner.change(job.id) { $0.state = .finished(.smoke) }
            }
            if (try? FileManager.default.removeItem(atPath: mailbox + "/send")) != nil { try? await site.sendDigests() }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private static func drive(_ address: String, _ shots: String, _ mailbox: String) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result { try PythonPeer.runFile(script, address, shots, mailbox, chromium ?? "") })
            }
        }
    }
}
