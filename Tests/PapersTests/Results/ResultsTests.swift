import Experiments
import Foundation
import TestSupport
import Testing

@testable import Papers

@Suite struct ResultsTests {
    /// A report with one claim, that `a` is at least 1, measured as `values`.
    private func report(_ values: [Double], scale: Scale = .small, gate: Bool = true) -> Report {
        report("gla", values, scale: scale, gate: gate)
    }

    private func report(_ slug: String, _ values: [Double], scale: Scale = .small, gate: Bool = true) -> Report {
        var measurements: Measurements = Measurements()
        for (seed, value) in values.enumerated() {
            measurements.record("a | b", "m", seed: UInt64(seed), value)
            measurements.record("c", "m", seed: UInt64(seed), 3)
        }
        return Report(
            slug: slug, summary: "A <b> against c.", scale: scale, seeds: values.indices.map(UInt64.init),
            started: Date(timeIntervalSince1970: 1_700_000_000), seconds: 61.4, measurements: measurements,
            criteria: Criteria(
                gates: [Gate("the gate") { _ in gate }], claims: [Claim("a is large", atLeast: 1) { $0["a | b", "m"] }]))
    }

    private func write(_ reports: [Report], to folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for report in reports { try report.json().write(to: folder.appendingPathComponent(report.fileName)) }
    }

    // MARK: Folders

    @Test func aFolderIsReadBySlugAndScale() throws {
        try TestPaths.withTemporaryFolder { folder in
            try write([report("lit", [2, 2]), report("gla", [2, 2], scale: .full), report("gla", [2, 2], scale: .smoke)], to: folder)
            try Data().write(to: folder.appendingPathComponent("notes.txt"))
            #expect(try ReportFolder.load(folder.path).map(\.title) == ["gla at smoke", "gla at full", "lit at small"])
        }
    }

    @Test func aFileThatIsNoReportIsNamed() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("gla.small.json")
            try Data("{\"slug\":\"gla\"}".utf8).write(to: file)
            let error: ResultsError? = #expect(throws: ResultsError.self) { try ReportFolder.load(folder.path) }
            #expect(error?.description.hasPrefix("\(file.path) is not a report: ") == true)
            #expect(error?.description.contains("\n") == false)
            try report("lit", [2, 2]).json().write(to: file)
            #expect(throws: ResultsError.notAReport(path: file.path, reason: "what is in it has to be named lit.small.json")) {
                try ReportFolder.load(folder.path)
            }
            #expect(throws: ResultsError.missing(path: "/nowhere")) { try ReportFolder.load("/nowhere") }
            #expect(throws: ResultsError.missing(path: "/nowhere.json")) { try ReportFolder.report("/nowhere.json") }
        }
    }

    // MARK: Comparison

    @Test func meansAreComparedByTheirIntervals() throws {
        let comparison: ReportComparison = try ReportComparison(report([2.0, 2.1, 1.9]), report([4.0, 4.1, 3.9]))
        #expect(comparison.rows.map(\.method) == ["a | b", "c"])
        #expect(abs((comparison.rows[0].difference ?? 0) - 2) < 1e-12 && comparison.rows[0].isApart == true)
        #expect(comparison.rows[1].difference == 0 && comparison.rows[1].isApart == false)
        #expect(comparison.changes.isEmpty && !comparison.gotWorse)
        #expect(comparison.text().contains("the verdicts are the same"))
        #expect(try ReportComparison(report([2.0, 2.1, 1.9]), report([2.1, 2.2, 1.8])).rows[0].isApart == false)
        #expect(try ReportComparison(report([2]), report([4])).rows[0].isApart == nil)
    }

    @Test func aVerdictThatGotWorseIsSaid() throws {
        let (good, bad): (Report, Report) = (report([2.0, 2.1, 1.9]), report([0.2, 0.1, 0.3]))
        let worse: ReportComparison = try ReportComparison(good, bad)
        #expect(worse.gotWorse && worse.changes.map(\.kind) == ["claim", "paper"])
        #expect(worse.text().contains("WORSE  claim  a is large: shown -> not shown"))
        let better: ReportComparison = try ReportComparison(bad, good)
        #expect(!better.gotWorse && better.text().contains("changed  claim  a is large: not shown -> shown"))
        let undecided: ReportComparison = try ReportComparison(good, report([0.5, 2.5, 1.0]))
        #expect(undecided.gotWorse && undecided.changes.first?.after == "inconclusive")
        let failed: ReportComparison = try ReportComparison(good, report([2.0, 2.1, 1.9], gate: false))
        #expect(
            failed.gotWorse
                && failed.changes.first == .init(kind: "gate", statement: "the gate", before: "passed", after: "failed", isWorse: true))
    }

    @Test func aScaleThatJudgesNothingChangesNoVerdict() throws {
        let comparison: ReportComparison = try ReportComparison(report([2, 2], scale: .smoke), report([0, 0]))
        #expect(comparison.changes.isEmpty && comparison.title == "gla at smoke and small")
        #expect(throws: ResultsError.differentPapers("gla", "lit")) { try ReportComparison(report([1]), report("lit", [1])) }
    }

    @Test func foldersArePairedBySlugAndScale() throws {
        try TestPaths.withTemporaryFolder { folder in
            let (old, new): (URL, URL) = (folder.appendingPathComponent("old"), folder.appendingPathComponent("new"))
            try write([report("gla", [2, 2]), report("lit", [2, 2])], to: old)
            try write([report("gla", [0, 0]), report("mom", [2, 2])], to: new)
            let comparison: ResultsComparison = try ResultsComparison(old.path, new.path)
            #expect(comparison.comparisons.map(\.title) == ["gla at small"] && comparison.gotWorse)
            #expect(comparison.onlyFirst == ["lit at small"] && comparison.onlySecond == ["mom at small"])
            #expect(comparison.text().hasSuffix("lit at small is in the first only\nmom at small is in the second only\n"))
            let files: ResultsComparison = try ResultsComparison(old.path + "/lit.small.json", old.path + "/lit.small.json")
            #expect(files.comparisons.count == 1 && !files.gotWorse)
            #expect(throws: ResultsError.missing(path: "/nowhere")) { try ResultsComparison("/nowhere", new.path) }
            let empty: URL = folder.appendingPathComponent("empty")
            try write([], to: empty)
            #expect(throws: ResultsError.noReports(folder: empty.path)) { try ResultsComparison(old.path, empty.path) }
        }
    }

    // MARK: RESULTS.md

    private var card: PaperCard {
        PaperCard(
            order: 1, slug: "gla", title: "Gated *Linear* Attention", arxiv: "2312.06635", year: 2023, listed: "2026-11-25",
            group: .sequence, keywords: [], summary: "", claim: "It is\nbetter.", figure: "2 | 3", library: "SequenceModels")
    }

    @Test func theDocumentHasThePapersFigureBesideOurs() {
        let text: String = ResultsDocument.markdown(reports: [report([2.0, 2.1, 1.9])], cards: [card])
        #expect(text.contains(ResultsDocument.note))
        #expect(text.contains("Reports: 1 (1 shown)."))
        #expect(text.contains("| [gla](#gla-small) | small | 2 \\| 3 | a is large | 1 | 2 (1.831 to 2.169) | shown | "))
        #expect(text.contains(" | 2023-11-14 |\n"))
        #expect(text.contains("## gla at small: Gated \\*Linear\\* Attention"))
        #expect(
            text.contains(
                "A \\<b> against c.\n\nThe paper's claim: It is better.\n\n| method | m |\n| --- | --- |\n| a \\| b | 2 ± 0.100 |"))
        #expect(text.contains("- passed: the gate") && text.contains("Seeds 0, 1, 2; 61 s on "))
        #expect(text == ResultsDocument.markdown(reports: [report([2.0, 2.1, 1.9])], cards: [card]))
    }

    @Test func whatFailedAndWhatIsNotJudgedIsSaid() {
        let failed: String = ResultsDocument.markdown(reports: [report([2.0, 2.1, 1.9], gate: false)], cards: [])
        #expect(failed.contains("| gate: the gate |  |  | failed |") && failed.contains("- FAILED on seed 0, 1, 2: the gate"))
        #expect(failed.contains("|  |  |  | a is large | 1 | 2 (1.831 to 2.169) | shown |  |  |"))
        let smoke: String = ResultsDocument.markdown(reports: [report([2], scale: .smoke)], cards: [])
        #expect(smoke.contains("| the gates only |  |  | smoke |"))
    }

    /// `linnet results write` makes it so again.
    @Test func theCommittedDocumentIsThatOfTheCommittedReports() throws {
        let root: URL = TestPaths.packageRoot
        let reports: [Report] = try ReportFolder.load(root.appendingPathComponent("results").path)
        let text: String = try String(contentsOf: root.appendingPathComponent("RESULTS.md"), encoding: .utf8)
        #expect(text == ResultsDocument.markdown(reports: reports, cards: try PaperCards.load()), "run `linnet results write`")
    }
}
