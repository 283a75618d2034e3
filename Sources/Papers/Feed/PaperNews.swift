import Foundation
import GRDB

/// A dated event of a paper, as feed and digest tell it.
struct PaperNews: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case listed
        case status(PaperStatus)
        case verdict(PaperVerdict)
    }

    let paperID: Int64
    let kind: Kind
    let time: Date

    /// The event of a row of the `event` table; nil for a kind that this version does not know.
    init?(event row: Row) {
        let detail: String = row["detail"]
        switch row["kind"] as String {
        case "status":
            guard let status = PaperStatus(rawValue: detail) else { return nil }
            kind = .status(status)
        case "verdict":
            guard let verdict = PaperVerdict(rawValue: detail) else { return nil }
            kind = .verdict(verdict)
        default: return nil
        }
        paperID = row["paperID"]
        time = row["happenedAt"]
    }

    init(listed paper: Paper) {
        (paperID, kind, time) = (paper.id, .listed, paper.listedOn)
    }

    /// The event's name in an identifier. Two events of one name differ by their time, in milliseconds.
    var identifier: String {
        let stamp: String = String(Int64((time.timeIntervalSince1970 * 1000).rounded()))
        return switch kind {
        case .listed: "listed"
        case .status(let status): "status-\(status.rawValue)/\(stamp)"
        case .verdict(let verdict): "verdict-\(verdict.rawValue.replacing(" ", with: "-"))/\(stamp)"
        }
    }

    /// What happened, in a few words.
    var words: String {
        switch kind {
        case .listed: "new in the catalogue"
        case .status(let status): Self.words(status)
        case .verdict(.shown): "measured: every claim was shown"
        case .verdict(.notShown): "measured: a claim was not shown"
        case .verdict(.inconclusive): "measured: inconclusive"
        case .verdict(let verdict): "measured: \(verdict.rawValue)"
        }
    }

    static func words(_ status: PaperStatus) -> String {
        switch status {
        case .listed: "listed"
        case .planned: "planned: nothing is built yet"
        case .component: "its component is built"
        case .experiment: "its experiment is built and has decided nothing yet"
        case .reproduced: "reproduced: every claim was shown here"
        case .notShown: "not shown: a claim did not show here"
        }
    }
}

extension Paper {
    /// The summary, or the start of the abstract of a paper that has none; without line breaks.
    var shortText: String {
        if !summary.isEmpty { return XMLText.line(summary) }
        let whole: String = XMLText.line(abstract ?? "")
        guard whole.count > 320 else { return whole }
        let start: Substring = whole.prefix(320)
        return String(start[..<(start.lastIndex(of: " ") ?? start.endIndex)]) + " …"
    }

    /// The claim with its figure; nil where there is none.
    var claimText: String? {
        guard !claim.isEmpty else { return nil }
        let words: String = XMLText.line(claim)
        return figure.map { words + " (" + XMLText.line($0) + ")" } ?? words
    }

    /// The paper's page at arXiv.
    package var arxivAddress: String? {
        arxivID.map { id in
            "https://arxiv.org/abs/"
                + id.split(separator: "/", omittingEmptySubsequences: false).map { PaperSite.encoded(String($0)) }.joined(separator: "/")
        }
    }

    /// The code's page: "owner/name" is a repository at GitHub; of an address only http and https are followed.
    var codeAddress: String? {
        guard let code, !code.isEmpty else { return nil }
        if code.lowercased().hasPrefix("http://") || code.lowercased().hasPrefix("https://") { return XMLText.line(code) }
        let parts: [Substring] = code.split(separator: "/", omittingEmptySubsequences: false)
        let isRepository: Bool = parts.count == 2 && parts.allSatisfy { !$0.isEmpty && PaperSite.encoded(String($0)) == $0 }
        return isRepository ? "https://github.com/" + code : nil
    }
}
