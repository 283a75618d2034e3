import Crypto
import Foundation
import GRDB

extension PaperStore {
    /// Encodes every paper that has no vector yet, and keeps each batch as it is done, so that a stop loses little.
    ///
    /// - Parameters:
    ///   - limit: at most this many.
    ///   - progress: called with the number of papers encoded and still to encode.
    /// - Returns: how many papers are left without a vector.
    @discardableResult
    public func encodePapers(limit: Int = .max, progress: (_ done: Int, _ left: Int) -> Void = { _, _ in }) throws -> Int {
        try encode(with: try encoder ?? latentSemanticModel(), limit: limit, progress: progress)
    }

    /// The vectors of the papers, brought up to date; of a slow encoder only as many new ones as it allows on the way.
    func semanticIndex() throws -> SemanticIndex {
        let before: Int = try pool.read(Self.semanticState)
        return try caches.semantics.value(of: before) {
            let chosen: any SentenceEncoder = try encoder ?? latentSemanticModel()
            try encode(with: chosen, limit: chosen.textsOnTheWay)
            return try pool.read { try SemanticIndex(chosen, $0) }
        }
    }

    /// Moves when papers' words or vectors change.
    private static func semanticState(_ database: Database) throws -> Int {
        try SearchSchema.counter(.text, in: database) + SearchSchema.counter(.encoding, in: database)
    }

    @discardableResult
    private func encode(
        with encoder: any SentenceEncoder, limit: Int, progress: (_ done: Int, _ left: Int) -> Void = { _, _ in }
    ) throws -> Int {
        var missing: [Int64] = try pool.read { database in
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT id FROM paper LEFT JOIN embedding ON embedding.paperID = paper.id AND embedding.encoder = ?
                    WHERE embedding.paperID IS NULL ORDER BY paper.source != 'builtin', paper.listedOn DESC, paper.id
                    """, arguments: [encoder.id])
        }
        var done: Int = 0
        while done < limit, !missing.isEmpty {
            let batch: [Int64] = Array(missing.prefix(min(Self.encodingBatch, limit - done)))
            missing.removeFirst(batch.count)
            let texts: [String] = try pool.read { database in
                try batch.map { try Self.text(of: $0, forModel: encoder is LatentSemanticModel, in: database) }
            }
            let vectors: [[Float]] = try encoder.encode(texts)
            try pool.write { try Self.keep(vectors, of: batch, texts, encoder.id, in: $0) }
            done += batch.count
            progress(done, missing.count)
        }
        return missing.count
    }

    private static let encodingBatch: Int = 512

    private static func keep(
        _ vectors: [[Float]], of papers: [Int64], _ texts: [String], _ encoder: String, in database: Database
    ) throws {
        // A paper may have been removed meanwhile.
        let statement: Statement = try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO embedding (paperID, encoder, dimensions, vector, textHash)
                SELECT id, ?, ?, ?, ? FROM paper WHERE id = ?
                """)
        for (paper, (vector, text)) in zip(papers, zip(vectors, texts)) {
            try statement.execute(arguments: [encoder, vector.count, SemanticIndex.bytes(vector), hash(of: text), paper])
        }
        try database.execute(sql: "UPDATE change SET counter = counter + 1 WHERE kind = 'encoding'")
    }

    /// What a sentence encoder reads of a paper: title, summary, abstract. The catalogue's own model counts the words of the title and of the
    /// keywords twice; a claim's words, mostly of results, made it worse on the judged queries.
    static func text(of id: Int64, forModel: Bool, in database: Database) throws -> String {
        let statement: Statement = try database.cachedStatement(
            sql: "SELECT title, summary, abstract, keywords FROM paperText WHERE rowid = ?")
        guard let row = try Row.fetchOne(statement, arguments: [id]) else { return "" }
        let parts: [String] = (forModel ? [0, 0, 1, 2, 3, 3] : [0, 1, 2]).map { row[$0] }
        return parts.filter { !$0.isEmpty }.joined(separator: ". ")
    }

    static func hash(of text: String) -> String { SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined() }

    // MARK: The model of the catalogue itself

    /// The newest papers that the model is fitted to; the others are folded in.
    private static let mostFitted: Int = 2048

    /// The model of the papers' words. A small catalogue has it fitted anew with every change; a larger one only when it has grown or
    /// shrunk by a quarter since, because each fit means encoding all papers again.
    func latentSemanticModel() throws -> LatentSemanticModel {
        let (count, kept): (Int, (papers: Int, model: LatentSemanticModel)?) = try pool.read { database in
            (try Int.fetchOne(database, sql: "SELECT count(*) FROM paper") ?? 0, try Self.keptModel(database))
        }
        if let kept, count > LatentSemanticModel.fewTexts, abs(count - kept.papers) * 4 <= kept.papers { return kept.model }
        let texts: [String] = try pool.read { database in
            let ids: [Int64] = try Int64.fetchAll(
                database, sql: "SELECT id FROM paper ORDER BY source != 'builtin', listedOn DESC, id LIMIT ?", arguments: [Self.mostFitted])
            return try ids.map { try Self.text(of: $0, forModel: true, in: database) }
        }
        let id: String = LatentSemanticModel.prefix + Self.hash(of: texts.joined(separator: "\u{0}")).prefix(16)
        if let kept, kept.model.id == id { return kept.model }
        let model: LatentSemanticModel = LatentSemanticModel(id: id, fitting: texts)
        try keep(model, papers: count)
        return model
    }

    private static func keptModel(_ database: Database) throws -> (papers: Int, model: LatentSemanticModel)? {
        guard
            let row = try Row.fetchOne(database, sql: "SELECT papers, model FROM encoderModel ORDER BY fittedAt DESC, rowid DESC LIMIT 1"),
            let model = try? PropertyListDecoder().decode(LatentSemanticModel.self, from: row[1])
        else { return nil }
        return (row[0], model)
    }

    private func keep(_ model: LatentSemanticModel, papers: Int) throws {
        let encoder: PropertyListEncoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        let bytes: Data = try encoder.encode(model)
        let time: Date = now()
        try pool.write { database in
            try database.execute(sql: "DELETE FROM encoderModel WHERE id != ?", arguments: [model.id])
            try database.execute(
                sql: "INSERT OR REPLACE INTO encoderModel (id, fittedAt, papers, model) VALUES (?, ?, ?, ?)",
                arguments: [model.id, time, papers, bytes])
            try database.execute(
                sql: "DELETE FROM embedding WHERE encoder GLOB ? AND encoder != ?", arguments: [LatentSemanticModel.prefix + "*", model.id])
        }
    }
}
