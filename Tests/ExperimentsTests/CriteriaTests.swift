import Experiments
import Foundation
import TestSupport
import Testing

@Suite(.ownRandomNumbers) struct CriteriaTests {
    private func measured(_ values: [Double], _ other: [Double] = [0, 0, 0]) -> Measurements {
        var measurements: Measurements = Measurements()
        for (seed, value) in values.enumerated() {
            measurements.record("ours", "score", seed: UInt64(seed), value)
            measurements.record("baseline", "score", seed: UInt64(seed), other[seed])
        }
        return measurements
    }

    private let claim: Claim = Claim("ours is 0.2 above", atLeast: 0.2) { $0["ours", "score"] - $0["baseline", "score"] }
    private let seeds: [UInt64] = [0, 1, 2]

    @Test func aClaimIsJudgedByItsInterval() {
        #expect(claim.judge(measured([0.50, 0.51, 0.52]), seeds: seeds).verdict == .shown)
        #expect(claim.judge(measured([0.10, 0.11, 0.12]), seeds: seeds).verdict == .notShown)
        #expect(claim.judge(measured([0.10, 0.25, 0.40]), seeds: seeds).verdict == .inconclusive)
    }

    @Test func theIntervalIsStudents() throws {
        let result: ClaimResult = claim.judge(measured([1, 2, 3]), seeds: seeds)
        // t(0.95, 2) = 2.920, standard error 1/√3.
        let interval: [Double] = try #require(result.interval)
        #expect(abs(interval[0] - (2 - 2.920 / 3.0.squareRoot())) < 1e-9)
        #expect(abs(interval[1] - (2 + 2.920 / 3.0.squareRoot())) < 1e-9)
    }

    @Test func whatWasNotMeasuredDecidesNothing() {
        #expect(claim.judge(measured([0.5]), seeds: [0]).verdict == .inconclusive)
        #expect(claim.judge(measured([0.5, .nan, 0.5]), seeds: seeds).verdict == .inconclusive)
        #expect(claim.judge(measured([0.5, 0.5]), seeds: seeds).verdict == .inconclusive)
    }

    @Test func aGateHasToHoldOnEverySeed() {
        let gate: Gate = Gate("positive") { $0["ours", "score"] > 0 }
        #expect(gate.judge(measured([1, 2, 3]), seeds: seeds).passed)
        let failed: GateResult = gate.judge(measured([1, -2, 3]), seeds: seeds)
        #expect(!failed.passed && failed.failedSeeds == [1])
        #expect(!gate.judge(measured([1, 2, 3]), seeds: []).passed)
        #expect(!gate.judge(measured([1, 2]), seeds: seeds).passed)
    }

    @Test func aReportSurvivesJSONAndIsDrawn() throws {
        let criteria: Criteria = Criteria(gates: [Gate("holds") { _ in true }], claims: [claim])
        var measurements: Measurements = measured([0.5, 0.5, 0.6])
        measurements.record(
            curve: Measurements.Curve(method: "a<b", metric: "loss", axis: "step", seed: 0, x: [0, 1, 2], y: [3, 2, 1]))
        let report: Report = Report(
            slug: "example", summary: "a & b", scale: .small, seeds: seeds, started: Date(), seconds: 1, measurements: measurements,
            criteria: criteria)
        let url: URL = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: url) }
        try report.json().write(to: url)
        let read: Report = try Report.load(url)
        #expect(read.claims.map(\.verdict) == [.shown] && read.allCriteriaMet)
        #expect(read.measurements.value("ours", "score", seed: 2) == 0.6)
        let page: String = ReportPage.html(title: "Test", reports: [read])
        #expect(page.contains("<svg") && page.contains("a&lt;b") && page.contains("a &amp; b") && !page.contains("a<b"))
        #expect(report.text().contains("claim  shown"))
    }
}
