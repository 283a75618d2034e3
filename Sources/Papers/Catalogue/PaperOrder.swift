/// The order of a listing; where two papers are equal, by slug.
public enum PaperOrder: String, Codable, Sendable, CaseIterable {
    /// By ``Trend``, highest first.
    case trending
    /// The day on which a paper was listed, newest first.
    case new
    case title
}
