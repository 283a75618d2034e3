import Papers

extension WebSite {
    /// Entries of the feed.
    private static let feedLength: Int = 50

    /// The Atom feed, of all papers or of those that a query finds.
    func feed(query: String?) async throws -> String {
        do { return try AtomFeed(store: store, site: configuration.site).xml(query: query, limit: Self.feedLength) } catch let error
            as PaperQueryError
        {
            throw WebError.bad("\(error)")
        }
    }
}
