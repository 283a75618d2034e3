import Foundation
import GRDB

/// Where an entry of the catalogue comes from.
public enum PaperSource: String, Codable, Sendable {
    case builtin, arxiv, bibtex, listing, manual
}

/// How far Linnet has come with a paper.
public enum PaperStatus: String, Codable, Sendable, CaseIterable {
    /// An imported paper.
    case listed
    /// On the method list; nothing is built yet.
    case planned
    /// The component is built, an experiment is not.
    case component
    /// There is an experiment, and no finished run that decides.
    case experiment
    /// The newest finished run showed every claim.
    case reproduced
    /// The newest finished run failed a gate, or did not show a claim.
    case notShown = "not-shown"
}

/// An entry of the catalogue.
public struct Paper: Codable, Identifiable, Sendable, Equatable, FetchableRecord {
    public let id: Int64
    public var slug: String
    public var title: String
    public var arxivID: String?
    public var doi: String?
    public var year: Int?
    /// The abstract of an imported paper; nil for Linnet's own cards.
    public var abstract: String?
    public var summary: String
    public var claim: String
    public var figure: String?
    public var library: String?
    public var symbol: String?
    public var command: String?
    public var swift: String?
    public var group: PaperGroup
    /// Repository "owner/name", or the address of an imported paper's code.
    public var code: String?
    public var status: PaperStatus
    public var source: PaperSource
    public var curatorNote: String?
    /// UTC.
    public var listedOn: Date
    /// UTC.
    public var updatedAt: Date
    /// Place in the first listing; nil for imported papers.
    public var order: Int?
}
