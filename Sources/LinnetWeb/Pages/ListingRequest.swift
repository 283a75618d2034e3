import Foundation
import Papers

/// What of the catalogue is to be listed: the fields of the form on the first page.
struct ListingRequest: Sendable {
    static let longestQuery: Int = 200
    /// Pages beyond are refused; nobody pages that far, and the catalogue ends before.
    private static let mostPages: Int = 100_000

    var query: String?
    var group: PaperGroup?
    var status: PaperStatus?
    var order: PaperOrder = .new
    var page: Int = 1
    /// Papers on a page.
    var length: Int = WebSite.pageLength

    init() {}

    /// - Throws: ``WebError`` naming the field that is wrong.
    init(_ fields: FormFields) throws {
        query = fields["q"]
        if let query, query.count > Self.longestQuery {
            throw WebError.bad("the search has \(query.count) characters; at most \(Self.longestQuery) are searched for")
        }
        group = try Self.choice("group", fields)
        status = try Self.choice("status", fields)
        order = try Self.choice("sort", fields) ?? .new
        if let text = fields["page"] {
            guard let number = Int(text), (1...Self.mostPages).contains(number) else { throw WebError.bad("there is no such page") }
            page = number
        }
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ fields: FormFields
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = fields[name] else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw WebError.bad("there is no such \(name); there are \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    var filter: PaperFilter { PaperFilter(groups: group.map { [$0] } ?? [], statuses: status.map { [$0] } ?? []) }

    /// Link to another page of the same listing.
    func link(page: Int) -> String {
        let fields: [(String, String?)] = [
            ("group", group?.rawValue), ("status", status?.rawValue), ("sort", order == .new ? nil : order.rawValue),
            ("page", page == 1 ? nil : String(page)),
        ]
        let query: String = fields.compactMap { name, value in value.map { "\(name)=\($0)" } }.joined(separator: "&")
        return query.isEmpty ? "/" : "/?" + query
    }
}
