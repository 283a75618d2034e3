/// Turns texts into vectors whose cosine says how near their meanings are.
public protocol SentenceEncoder: Sendable {
    /// Name under which the vectors are kept; another model or another way of using it needs another name.
    var id: String { get }
    var dimensions: Int { get }
    /// How many texts a search may encode on the way without a user waiting; the rest is left to ``PaperStore/encodePapers(limit:progress:)``.
    var textsOnTheWay: Int { get }

    /// Unit vectors of `dimensions` numbers (zeros for a text without a known word), one for each text.
    func encode(_ texts: [String]) throws -> [[Float]]
}
