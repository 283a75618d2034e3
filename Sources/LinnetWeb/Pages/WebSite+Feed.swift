import Papers

extension WebSite {
    /// Entries of the feed.
    private static let feedLength: Int = 50

    /// The Atom feed, of all papers or of those that a query finds.
    func feed(query: String?) async throws -> String {
        let feed: AtomFeed = AtomFeed(store: store, site: configuration.site)
        do {
            return try feed.xml(query: query, limit: Self.feedLength)
        } catch let error where error is PaperQueryError || error is DigestError {
            throw WebError.bad("\(error)")
        }
    }
}
