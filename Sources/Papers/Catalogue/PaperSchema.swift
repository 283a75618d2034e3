import GRDB

/// The tables of the catalogue, version by version.
enum PaperSchema {
    /// - Parameter fullText: whether text is searched by FTS5; nil takes it where SQLite has it.
    static func migrator(fullText: Bool? = nil) -> DatabaseMigrator {
        var migrator: DatabaseMigrator = DatabaseMigrator()
        migrator.registerMigration("catalogue") {
            try $0.execute(sql: catalogue)
            try SearchSchema.createText($0, fullText: try fullText ?? SearchSchema.hasFullText($0))
        }
        migrator.registerMigration("runs and votes") { try $0.execute(sql: activity) }
        migrator.registerMigration("subscriptions") { try $0.execute(sql: subscriptions) }
        migrator.registerMigration("search") { try $0.execute(sql: SearchSchema.changes) }
        return migrator
    }

    private static let catalogue: String = """
        CREATE TABLE paper (
            id INTEGER PRIMARY KEY, slug TEXT UNIQUE NOT NULL, title TEXT NOT NULL, normalizedTitle TEXT NOT NULL, arxivID TEXT UNIQUE,
            year INTEGER, abstract TEXT, summary TEXT NOT NULL, claim TEXT NOT NULL, figure TEXT, library TEXT, symbol TEXT, command TEXT,
            swift TEXT, "group" TEXT NOT NULL, code TEXT,
            status TEXT NOT NULL CHECK (status IN ('listed', 'planned', 'component', 'experiment', 'reproduced', 'not-shown')),
            source TEXT NOT NULL CHECK (source IN ('builtin', 'arxiv', 'bibtex', 'listing', 'manual')),
            curatorNote TEXT, listedOn TEXT NOT NULL, updatedAt TEXT NOT NULL, "order" INTEGER);
        CREATE INDEX paperByTitle ON paper(normalizedTitle);
        CREATE INDEX paperByGroup ON paper("group", listedOn);
        CREATE INDEX paperByStatus ON paper(status, listedOn);
        CREATE INDEX paperByDay ON paper(listedOn);
        CREATE TABLE keyword (
            paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, position INTEGER NOT NULL, term TEXT NOT NULL,
            PRIMARY KEY (paperID, position)) WITHOUT ROWID;
        CREATE INDEX keywordByTerm ON keyword(term);
        CREATE TABLE author (
            paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (paperID, position)) WITHOUT ROWID;
        CREATE INDEX authorByName ON author(name);
        CREATE TABLE embedding (
            paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, encoder TEXT NOT NULL, dimensions INTEGER NOT NULL,
            vector BLOB NOT NULL, textHash TEXT NOT NULL, PRIMARY KEY (paperID, encoder)) WITHOUT ROWID;
        """

    private static let activity: String = """
        CREATE TABLE run (
            id INTEGER PRIMARY KEY, paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, startedAt TEXT NOT NULL,
            seconds REAL NOT NULL, scale TEXT NOT NULL, seeds INTEGER NOT NULL, verdict TEXT NOT NULL, claimsShown INTEGER NOT NULL,
            claims INTEGER NOT NULL, report BLOB, UNIQUE (paperID, scale, startedAt));
        CREATE INDEX runByPaper ON run(paperID, startedAt);
        CREATE TABLE vote (
            paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, voter BLOB NOT NULL, votedAt TEXT NOT NULL,
            PRIMARY KEY (paperID, voter)) WITHOUT ROWID;
        CREATE TABLE event (
            id INTEGER PRIMARY KEY, paperID INTEGER NOT NULL REFERENCES paper(id) ON DELETE CASCADE, kind TEXT NOT NULL, detail TEXT NOT NULL,
            happenedAt TEXT NOT NULL, UNIQUE (paperID, kind, detail, happenedAt));
        CREATE INDEX eventByTime ON event(happenedAt);
        """

    private static let subscriptions: String = """
        CREATE TABLE subscriber (
            id INTEGER PRIMARY KEY, email TEXT UNIQUE, suppressed BLOB UNIQUE, topics TEXT, "query" TEXT,
            frequency TEXT NOT NULL CHECK (frequency IN ('daily', 'weekly')),
            state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'unsubscribed', 'bounced')),
            confirmHash BLOB UNIQUE, confirmExpires TEXT, confirmSentAt TEXT, unsubscribeNonce BLOB NOT NULL, unsubscribeHash BLOB UNIQUE NOT NULL,
            createdAt TEXT NOT NULL, confirmedAt TEXT, lastSentAt TEXT, seenPaper INTEGER, seenEvent INTEGER,
            bounces INTEGER NOT NULL DEFAULT 0);
        CREATE INDEX subscriberByState ON subscriber(state);
        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY, subscriberID INTEGER NOT NULL REFERENCES subscriber(id) ON DELETE CASCADE, issueDate TEXT NOT NULL,
            messageID TEXT UNIQUE NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'bounced', 'failed', 'uncertain')),
            attempts INTEGER NOT NULL DEFAULT 0, nextAttempt TEXT, error TEXT, sentAt TEXT, throughPaper INTEGER NOT NULL,
            throughEvent INTEGER NOT NULL, UNIQUE (subscriberID, issueDate));
        """
}
