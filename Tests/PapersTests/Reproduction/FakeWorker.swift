import Experiments
import Foundation
import TestSupport

@testable import Papers

/// A folder with a shell script that stands in for the worker, and a catalogue of three papers.
struct FakeWorker {
    let folder: URL
    let store: PaperStore

    static let slugs: [String] = ["deltanet", "gla", "lit", "mom"]

    /// - Parameter script: has the slug in `$slug`; `report` says that the report is written, `say LINE SEEDS` progress.
    init(in folder: URL, script: String) throws {
        self.folder = folder
        let cards: [PaperCard] = Self.slugs.enumerated().map { index, slug in
            PaperCard(
                order: index + 1, slug: slug, title: "Paper \(slug)", arxiv: "2401.0000\(index)", year: 2024, listed: "2026-11-25",
                group: .sequence, keywords: [], summary: "", claim: "", figure: "", library: "SequenceModels")
        }
        store = try PaperStore(folder.path + "/papers.db", cards: cards)
        let text: String = """
            #!/bin/sh
            slug=$2
            cd '\(folder.path)'
            report() { echo "{\\"report\\":{\\"path\\":\\"\(folder.path)/$slug.fake\\"}}"; }
            say() { echo "{\\"progress\\":{\\"line\\":\\"$1\\",\\"seedsDone\\":$2}}"; }
            \(script)
            """
        try Data(text.utf8).write(to: folder.appendingPathComponent("worker"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path + "/worker")
        for slug in Self.slugs { try Self.report(slug).json().write(to: folder.appendingPathComponent("\(slug).fake")) }
    }

    static func report(_ slug: String, seeds: Int = 1, scale: Scale = .smoke) -> Report {
        var measurements: Measurements = Measurements()
        for seed in 0..<UInt64(seeds) { measurements.record("a", "m", seed: seed, 1) }
        return Report(
            slug: slug, summary: "", scale: scale, seeds: Array(0..<UInt64(seeds)), started: Date(timeIntervalSince1970: 1_000_000),
            seconds: 12, measurements: measurements, criteria: Criteria(gates: [], claims: []))
    }

    func queue(
        jobs: Int = 1, capacity: Int = 100, history: Int = 200, limits: ReproductionLimits = ReproductionLimits(graceSeconds: 0.3),
        now: @escaping @Sendable () -> Date = { Date() }
    ) -> ReproductionQueue {
        ReproductionQueue(
            ReproductionQueue.Configuration(
                executable: folder.path + "/worker", results: folder.path, jobs: jobs, capacity: capacity, history: history, limits: limits,
                slugs: Set(Self.slugs)),
            store: store, now: now)
    }

    func text(_ name: String) -> String { (try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)) ?? "" }

    /// Runs `body` with a worker in a new folder, which is removed afterwards.
    static func with<Result>(_ script: String, _ body: (FakeWorker) async throws -> Result) async throws -> Result {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(FakeWorker(in: folder, script: script))
    }
}

extension ReproductionQueue {
    /// Submits a smoke run and waits for its last event.
    func outcome(of slug: String, seeds: Int = 1) async throws -> JobEvent? {
        var last: JobEvent?
        for await event in events(of: try submit(ReproductionJob(slug: slug, scale: .smoke, seeds: seeds))) { last = event }
        return last
    }
}

extension JobEvent {
    /// Of a failed job.
    var failure: String? {
        guard case .failed(let message) = self else { return nil }
        return message
    }
}

/// Polls for what another process does; gives up after twenty seconds.
func waitUntil(_ condition: () async -> Bool) async -> Bool {
    let limit: Date = Date().addingTimeInterval(20)
    while Date() < limit {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(20))
    }
    return false
}
