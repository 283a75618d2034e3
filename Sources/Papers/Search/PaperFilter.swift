import Foundation
import GRDB

/// Which papers of the catalogue are meant. What is empty admits all; several values of one property are alternatives.
public struct PaperFilter: Sendable, Hashable, Codable {
    public var groups: Set<PaperGroup>
    public var statuses: Set<PaperStatus>
    public var sources: Set<PaperSource>
    /// Verdicts of the newest run that decides: shown, not shown or inconclusive.
    public var verdicts: Set<PaperVerdict>
    public var years: [ClosedRange<Int>]
    /// Names of libraries or symbols, in any case.
    public var modules: Set<String>
    /// Parts of authors' names.
    public var authors: Set<String>

    public init(
        groups: Set<PaperGroup> = [], statuses: Set<PaperStatus> = [], sources: Set<PaperSource> = [], verdicts: Set<PaperVerdict> = [],
        years: [ClosedRange<Int>] = [], modules: Set<String> = [], authors: Set<String> = []
    ) {
        self.groups = groups
        self.statuses = statuses
        self.sources = sources
        self.verdicts = verdicts
        self.years = years
        self.modules = modules
        self.authors = authors
    }

    public var isEmpty: Bool { self == PaperFilter() }

    /// Conditions on the table `paper`; all have to hold.
    var conditions: [SQLCondition] {
        [
            SQLCondition("paper.\"group\"", isOneOf: groups.map(\.rawValue)),
            SQLCondition("paper.status", isOneOf: statuses.map(\.rawValue)),
            SQLCondition("paper.source", isOneOf: sources.map(\.rawValue)), verdictCondition,
            SQLCondition(anyOf: years.map { SQLCondition("paper.year BETWEEN ? AND ?", [$0.lowerBound, $0.upperBound]) }),
            SQLCondition(
                anyOf: modules.map {
                    SQLCondition("(paper.library = ? COLLATE NOCASE OR paper.symbol = ? COLLATE NOCASE)", [$0, $0])
                }),
            SQLCondition(
                anyOf: authors.map {
                    SQLCondition("paper.id IN (SELECT paperID FROM author WHERE name LIKE ? ESCAPE '\\')", ["%\(Self.literal($0))%"])
                }),
        ].compactMap { $0 }
    }

    /// SQLite gives the other columns of the row that has the maximum.
    private var verdictCondition: SQLCondition? {
        guard let condition = SQLCondition("verdict", isOneOf: verdicts.map(\.rawValue)) else { return nil }
        return SQLCondition(
            """
            paper.id IN (SELECT paperID FROM (SELECT paperID, verdict, max(startedAt) FROM run
                WHERE scale != 'smoke' AND verdict IN ('shown', 'not shown', 'inconclusive') GROUP BY paperID) WHERE \(condition.sql))
            """, condition.arguments)
    }

    private static func literal(_ text: String) -> String {
        text.reduce(into: "") { $0 += "\\%_".contains($1) ? "\\\($1)" : String($1) }
    }
}

/// A condition in SQL with its arguments.
struct SQLCondition: Sendable {
    let sql: String
    let arguments: StatementArguments

    init(_ sql: String, _ arguments: StatementArguments = []) {
        self.sql = sql
        self.arguments = arguments
    }

    /// Nil where there are no values, so no condition.
    init?(_ column: String, isOneOf values: [String]) {
        if values.isEmpty { return nil }
        self.init("\(column) IN (\(values.map { _ in "?" }.joined(separator: ", ")))", StatementArguments(values.sorted()))
    }

    init?(anyOf conditions: [SQLCondition]) {
        if conditions.isEmpty { return nil }
        self.init("(\(conditions.map(\.sql).joined(separator: " OR ")))", conditions.map(\.arguments).reduce([], +))
    }
}
