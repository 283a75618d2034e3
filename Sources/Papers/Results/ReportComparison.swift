import Experiments
import Foundation
import Training

/// Two reports of one paper side by side: the numbers of every method, and the verdicts that are not the same.
public struct ReportComparison: Sendable {
    /// A method's metric in both reports; nil where one has not got it.
    public struct Row: Sendable {
        public let method: String
        public let metric: String
        public let first: Summary?
        public let second: Summary?

        /// The second mean minus the first.
        public var difference: Double? {
            guard let first, let second else { return nil }
            return second.mean - first.mean
        }

        /// Whether the 90 % intervals of the means have no number in common; nil where there is a single seed.
        public var isApart: Bool? {
            guard let a = first?.interval, let b = second?.interval else { return nil }
            return a[1] < b[0] || b[1] < a[0]
        }
    }

    /// A verdict that changed.
    public struct Change: Sendable, Equatable {
        /// "gate", "claim" or "paper".
        public let kind: String
        public let statement: String
        public let before: String
        public let after: String
        public let isWorse: Bool
    }

    public let title: String
    public let rows: [Row]
    public let changes: [Change]

    public var gotWorse: Bool { changes.contains(where: \.isWorse) }

    /// - Throws: ``ResultsError/differentPapers(_:_:)``.
    public init(_ first: Report, _ second: Report) throws {
        guard first.slug == second.slug else { throw ResultsError.differentPapers(first.slug, second.slug) }
        title = first.scale == second.scale ? first.title : "\(first.title) and \(second.scale.rawValue)"
        rows = Self.rows(first.measurements, second.measurements)
        changes = Self.changes(first, second)
    }

    private static func rows(_ first: Measurements, _ second: Measurements) -> [Row] {
        let keys: [[String]] = (first.values + second.values).map { [$0.method, $0.metric] }
        var seen: Set<[String]> = []
        return keys.filter { seen.insert($0).inserted }.map { key in
            Row(method: key[0], metric: key[1], first: first.summary(key[0], key[1]), second: second.summary(key[0], key[1]))
        }
    }

    private static func changes(_ first: Report, _ second: Report) -> [Change] {
        func pairs<Result>(_ a: [Result], _ b: [Result], _ statement: KeyPath<Result, String>) -> [(statement: String, Result?, Result?)] {
            let statements: [String] = a.map { $0[keyPath: statement] }
            let new: [String] = b.map { $0[keyPath: statement] }.filter { !statements.contains($0) }
            return (statements + new).map { text in
                (text, a.first { $0[keyPath: statement] == text }, b.first { $0[keyPath: statement] == text })
            }
        }
        let gates: [Change?] = pairs(first.gates, second.gates, \.statement).map { statement, before, after in
            change(
                "gate", statement, before.map { ($0.passed ? "passed" : "failed", $0.passed ? 1 : 0) },
                after.map { ($0.passed ? "passed" : "failed", $0.passed ? 1 : 0) })
        }
        // A scale that judges no claims says nothing about them.
        let isJudged: Bool = !first.claims.isEmpty && !second.claims.isEmpty
        let claims: [Change?] = (isJudged ? pairs(first.claims, second.claims, \.statement) : []).map { statement, before, after in
            change(
                "claim", statement, before.map { ($0.verdict.rawValue, rank($0.verdict)) },
                after.map { ($0.verdict.rawValue, rank($0.verdict)) })
        }
        let (before, after): (PaperVerdict, PaperVerdict) = (PaperVerdict(first), PaperVerdict(second))
        let paper: Change? =
            (first.scale == .smoke) == (second.scale == .smoke)
            ? change("paper", first.slug, (before.rawValue, rank(before)), (after.rawValue, rank(after))) : nil
        return (gates + claims + [paper]).compactMap { $0 }
    }

    /// What was judged before and is not any more has got worse.
    private static func change(_ kind: String, _ statement: String, _ before: (String, Int)?, _ after: (String, Int)?) -> Change? {
        guard before?.0 != after?.0 else { return nil }
        return Change(
            kind: kind, statement: statement, before: before?.0 ?? "not judged", after: after?.0 ?? "not judged",
            isWorse: (after?.1 ?? -1) < (before?.1 ?? -1))
    }

    private static func rank(_ verdict: Verdict) -> Int {
        switch verdict {
        case .shown: 2
        case .inconclusive: 1
        case .notShown: 0
        }
    }

    private static func rank(_ verdict: PaperVerdict) -> Int {
        switch verdict {
        case .shown, .smoke: 2
        case .inconclusive: 1
        case .notShown, .failed, .interrupted: 0
        }
    }

    /// The comparison for a terminal.
    public func text() -> String {
        let header: [String] = ["method", "metric", "first", "second", "difference", "90 % intervals"]
        func number(_ value: Double?) -> String { value.map(Report.number) ?? "-" }
        let lines: [[String]] = rows.map { row in
            [
                row.method, row.metric, number(row.first?.mean), number(row.second?.mean), number(row.difference),
                row.isApart.map { $0 ? "apart" : "overlap" } ?? "-",
            ]
        }
        let verdicts: [String] = changes.map { change in
            "\(change.isWorse ? "WORSE" : "changed")  \(change.kind)  \(change.statement): \(change.before) -> \(change.after)"
        }
        let ending: String = verdicts.isEmpty ? "the verdicts are the same" : verdicts.joined(separator: "\n")
        return "\(title)\n\n" + RunTable.table([header] + lines, numeric: [2, 3, 4]) + "\n" + ending + "\n"
    }
}

/// Two reports, or two folders of reports.
public struct ResultsComparison: Sendable {
    public let comparisons: [ReportComparison]
    /// Titles of reports that are in one folder only.
    public let onlyFirst: [String]
    public let onlySecond: [String]

    public var gotWorse: Bool { comparisons.contains(where: \.gotWorse) }

    /// Compares the reports at two paths, each a file or a folder; those of folders are paired by slug and scale.
    ///
    /// - Throws: ``ResultsError``.
    public init(_ first: String, _ second: String) throws {
        let (a, b): ([Report], [Report]) = (try ReportFolder.loadAny(first), try ReportFolder.loadAny(second))
        guard !a.isEmpty else { throw ResultsError.noReports(folder: first) }
        guard !b.isEmpty else { throw ResultsError.noReports(folder: second) }
        if a.count == 1, b.count == 1 {
            comparisons = [try ReportComparison(a[0], b[0])]
            (onlyFirst, onlySecond) = ([], [])
            return
        }
        comparisons = try a.compactMap { report in
            try b.first { $0.fileName == report.fileName }.map { try ReportComparison(report, $0) }
        }
        let (names, others): (Set<String>, Set<String>) = (Set(a.map(\.fileName)), Set(b.map(\.fileName)))
        onlyFirst = a.filter { !others.contains($0.fileName) }.map(\.title)
        onlySecond = b.filter { !names.contains($0.fileName) }.map(\.title)
    }

    public func text() -> String {
        let alone: [String] =
            onlyFirst.map { "\($0) is in the first only" } + onlySecond.map { "\($0) is in the second only" }
        return (comparisons.map { $0.text() } + (alone.isEmpty ? [] : [alone.joined(separator: "\n") + "\n"])).joined(separator: "\n")
    }
}
