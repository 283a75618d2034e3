import Foundation

/// What arXiv's query interface is asked for.
public struct ArXivQuery: Sendable, Equatable {
    /// What comes first.
    public enum Order: String, Sendable, CaseIterable {
        case relevance
        /// The newest first versions.
        case submitted
        /// The newest versions.
        case updated
    }

    /// In the interface's own language.
    let expression: String
    let order: Order
    /// Most papers to take.
    let most: Int

    private static let longest: Int = 1000
    /// The interface gives no more for one query at a time; who wants a copy of arXiv has other ways.
    public static let mostPapers: Int = 2000

    /// - Parameters:
    ///   - query: words and "phrases", all of which a paper has to have; or, with a field such as `ti:`, `au:`, `abs:` or `cat:` in it, the
    ///     interface's own language, which is not touched.
    ///   - order: what comes first.
    ///   - most: papers to take, 1 to ``mostPapers``.
    /// - Throws: ``ArXivError/query(_:)``.
    public init(_ query: String, order: Order = .relevance, most: Int = 50) throws(ArXivError) {
        guard (1...Self.mostPapers).contains(most) else { throw .query("\(most) papers; 1 to \(Self.mostPapers) can be asked for") }
        guard query.utf8.count <= Self.longest, !query.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw .query("it is longer than \(Self.longest) bytes, or holds control characters")
        }
        let isExpression: Bool = query.contains(/\b(ti|au|abs|co|jr|cat|rn|id|all):/)
        expression = isExpression ? query.trimmingCharacters(in: .whitespaces) : try Self.conjunction(query)
        self.order = order
        self.most = most
    }

    /// `all:` before every word and phrase, joined by AND.
    private static func conjunction(_ query: String) throws(ArXivError) -> String {
        let parts: [String] = query.components(separatedBy: "\"")
        guard parts.count % 2 == 1 else { throw .query("a quotation mark has no second one") }
        var terms: [String] = []
        for (index, part) in parts.enumerated() {
            // Every second part stood between quotation marks; other marks than these mean something to the interface.
            let words: [Substring] = part.split { !($0.isLetter || $0.isNumber || "-.'".contains($0)) }
            if index % 2 == 0 {
                terms += words.map { "all:\($0)" }
            } else if !words.isEmpty {
                terms.append("all:\"\(words.joined(separator: " "))\"")
            }
        }
        if terms.isEmpty { throw .query("it has no word") }
        return terms.joined(separator: " AND ")
    }

    /// The fields of a request for the papers from `start` on.
    func fields(from start: Int, rows: Int) -> [URLQueryItem] {
        let names: [Order: String] = [.relevance: "relevance", .submitted: "submittedDate", .updated: "lastUpdatedDate"]
        return [
            URLQueryItem(name: "search_query", value: expression), URLQueryItem(name: "start", value: String(start)),
            URLQueryItem(name: "max_results", value: String(min(rows, most - start))),
            URLQueryItem(name: "sortBy", value: names[order]), URLQueryItem(name: "sortOrder", value: "descending"),
        ]
    }
}

/// Why arXiv could not be asked. Each description is one line.
public enum ArXivError: Error, Equatable, Sendable, CustomStringConvertible {
    case query(String)
    case address(String)
    case refused(host: String, status: Int)
    case tooSlow(host: String, seconds: Int)
    case tooLarge(host: String, bytes: Int)
    case unreachable(host: String, reason: String)
    /// The answer is no feed.
    case answer(host: String, ImportError)

    public var description: String {
        switch self {
        case .query(let reason): "the query cannot be asked: \(reason)"
        case .address(let text): "'\(text.prefix(100))' is no http or https address of a query interface"
        case .refused(let host, let status): "\(host) answered with status \(status); try again later"
        case .tooSlow(let host, let seconds): "\(host) gave no whole answer within \(seconds) s; try again later"
        case .tooLarge(let host, let bytes): "the answer of \(host) is larger than \(bytes) bytes"
        case .unreachable(let host, let reason):
            "\(host) cannot be reached: " + reason.split(whereSeparator: \.isNewline).joined(separator: " ")
        case .answer(let host, let problem): "the answer of \(host) cannot be read: \(problem)"
        }
    }
}
