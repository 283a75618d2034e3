import Foundation
import GRDB
import Torch

/// The catalogue: papers, runs, votes, embeddings and subscribers in one SQLite file (WAL, foreign keys on).
///
/// The cards that come with Linnet are brought up to date whenever a store is opened; what users add never lives among them.
public final class PaperStore: Sendable {
    public let path: String
    public let pool: DatabasePool
    /// The time, injected so that trending, feed and digest can be tested.
    public let now: @Sendable () -> Date
    /// What semantic search compares papers by; nil means the model that is fitted to the catalogue itself.
    public let encoder: (any SentenceEncoder)?
    let caches: CatalogueCaches = CatalogueCaches()

    /// `$LINNET_PAPERS`, or papers.db in the user's data folder (`$XDG_DATA_HOME/linnet`, by default ~/.local/share/linnet).
    public static var standardPath: String {
        let environment: [String: String] = ProcessInfo.processInfo.environment
        if let path = environment["LINNET_PAPERS"], !path.isEmpty { return path }
        if let folder = environment["XDG_DATA_HOME"], !folder.isEmpty { return folder + "/linnet/papers.db" }
        return FileManager.default.homeDirectoryForCurrentUser.path + "/.local/share/linnet/papers.db"
    }

    /// Opens the catalogue, creating it and its folder if they are missing, and brings Linnet's own cards up to date.
    ///
    /// - Throws: ``PaperError`` or `FileError`.
    public convenience init(
        _ path: String = PaperStore.standardPath, cards: [PaperCard]? = nil, encoder: (any SentenceEncoder)? = nil,
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws {
        try self.init(path, cards: cards, encoder: encoder, fullText: nil, now: now)
    }

    /// - Parameter fullText: whether a new catalogue is searched by FTS5; nil takes it where SQLite has it.
    init(
        _ path: String, cards: [PaperCard]?, encoder: (any SentenceEncoder)? = nil, fullText: Bool?,
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws {
        self.path = path
        self.now = now
        self.encoder = encoder
        let folder: String = (path as NSString).deletingLastPathComponent
        if !folder.isEmpty { try AtomicFile.createFolder(folder) }
        var configuration: Configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.foreignKeysEnabled = true
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            try PaperSchema.migrator(fullText: fullText).migrate(pool)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw PaperError.notACatalogue(path: path)
        } catch let error as DatabaseError {
            throw PaperError.cannotOpen(path: path, reason: error.message ?? error.resultCode.description)
        }
        try update(cards: cards ?? PaperCards.load())
    }
}
