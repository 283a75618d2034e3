import GRDB

/// The tables and indexes of search and of listings.
enum SearchSchema {
    /// Whether this SQLite can search full text.
    static func hasFullText(_ database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'fts5')") ?? false
    }

    /// The full-text index, or without FTS5 a plain table of the same columns that is searched in the process.
    static func createText(_ database: Database, fullText: Bool) throws {
        let columns: String = "slug, title, summary, abstract, keywords, claim"
        guard fullText else { return try database.execute(sql: "CREATE TABLE paperText (\(columns))") }
        try database.execute(
            sql: """
                CREATE VIRTUAL TABLE paperText USING fts5(\(columns), tokenize = 'porter unicode61 remove_diacritics 2');
                CREATE VIRTUAL TABLE paperVocabulary USING fts5vocab(paperText, 'row');
                """)
    }

    /// Counters that say when what is kept in memory is out of date: of the papers' words, of what listings show, of runs and votes, and
    /// of vectors. A paper whose words change loses its vectors, and with its keywords those of the catalogue's own model. Triggers move them, so that every writer of whatever process counts.
    static let changes: String = """
        ALTER TABLE paper ADD COLUMN doi TEXT;
        CREATE INDEX paperByNew ON paper(listedOn DESC, slug);
        CREATE INDEX paperByName ON paper(title COLLATE NOCASE, slug);
        CREATE TABLE encoderModel (id TEXT PRIMARY KEY, fittedAt TEXT NOT NULL, papers INTEGER NOT NULL, model BLOB NOT NULL);
        CREATE TABLE change (kind TEXT PRIMARY KEY, counter INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO change VALUES ('text', 0), ('listing', 0), ('activity', 0), ('encoding', 0);
        CREATE TRIGGER paperAdded AFTER INSERT ON paper BEGIN
            UPDATE change SET counter = counter + 1 WHERE kind IN ('text', 'listing'); END;
        CREATE TRIGGER paperRemoved AFTER DELETE ON paper BEGIN
            UPDATE change SET counter = counter + 1 WHERE kind IN ('text', 'listing'); END;
        CREATE TRIGGER paperWords AFTER UPDATE OF slug, title, abstract, summary, claim ON paper BEGIN
            UPDATE change SET counter = counter + 1 WHERE kind = 'text'; END;
        CREATE TRIGGER paperPlace AFTER UPDATE OF slug, title, year, "group", status, source, listedOn ON paper BEGIN
            UPDATE change SET counter = counter + 1 WHERE kind = 'listing'; END;
        CREATE TRIGGER paperReworded AFTER UPDATE OF title, abstract, summary ON paper
            WHEN OLD.title IS NOT NEW.title OR OLD.abstract IS NOT NEW.abstract OR OLD.summary IS NOT NEW.summary
            BEGIN DELETE FROM embedding WHERE paperID = OLD.id; END;
        CREATE TRIGGER keywordAdded AFTER INSERT ON keyword
            BEGIN DELETE FROM embedding WHERE paperID = NEW.paperID AND encoder GLOB 'lsa-*'; END;
        CREATE TRIGGER runAdded AFTER INSERT ON run BEGIN UPDATE change SET counter = counter + 1 WHERE kind = 'activity'; END;
        CREATE TRIGGER runRemoved AFTER DELETE ON run BEGIN UPDATE change SET counter = counter + 1 WHERE kind = 'activity'; END;
        CREATE TRIGGER voteAdded AFTER INSERT ON vote BEGIN UPDATE change SET counter = counter + 1 WHERE kind = 'activity'; END;
        CREATE TRIGGER voteRemoved AFTER DELETE ON vote BEGIN UPDATE change SET counter = counter + 1 WHERE kind = 'activity'; END;
        """

    enum Change: String { case text, listing, activity, encoding }

    static func counter(_ change: Change, in database: Database) throws -> Int {
        let statement: Statement = try database.cachedStatement(sql: "SELECT counter FROM change WHERE kind = ?")
        return try Int.fetchOne(statement, arguments: [change.rawValue]) ?? 0
    }

    /// Grows with every change of any kind.
    static func state(of database: Database) throws -> Int {
        try Int.fetchOne(try database.cachedStatement(sql: "SELECT sum(counter) FROM change")) ?? 0
    }
}
