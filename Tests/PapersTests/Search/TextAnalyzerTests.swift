import Foundation
import GRDB
import Testing

@testable import Papers

@Suite struct TextAnalyzerTests {
    /// The stems of Linnet's own cards, and of words of other scripts, are those that FTS5 indexes.
    @Test func stemsAreThoseOfSQLite() throws {
        let cards: [PaperCard] = try PaperCards.load()
        let texts: [String] =
            cards.map { [$0.slug, $0.title, $0.summary, $0.claim, $0.keywords.joined(separator: " ")].joined(separator: " ") } + [
                "Höhere Straßen Größe naïve café über cafe\u{301} ÅNGSTRÖM 第三章 Ελληνικά русский γ-MoD x² 10⁻⁶",
                "ponies caresses cats agreed plastered motoring conflated troubled sized hopping tanned falling hissing fizzed failing filing happy sky",
                "relational conditional rational valenci hesitanci digitizer conformabli radicalli differentli vileli analogousli vietnamization predication",
                "operator feudalism decisiveness hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti",
                "electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment",
                "dependent adoption homologou communism activate angulariti homologous effective bowdlerize probate rate cease controll roll",
                "be is a as feed need eed ing sing ed red yes y yy by flies dies ties apologies logi geologi wy sss ss s buses",
            ]
        let queue: DatabaseQueue = try DatabaseQueue()
        try queue.write { database in
            try database.execute(
                sql: """
                    CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'porter unicode61 remove_diacritics 2');
                    CREATE VIRTUAL TABLE v USING fts5vocab(t, 'row');
                    """)
            for text in texts { try database.execute(sql: "INSERT INTO t VALUES (?)", arguments: [text]) }
            let theirs: Set<String> = try Set(String.fetchAll(database, sql: "SELECT term FROM v"))
            let ours: Set<String> = Set(texts.flatMap(TextAnalyzer.stems))
            #expect(ours == theirs, "\(ours.symmetricDifference(theirs).sorted())")
        }
    }

    @Test func likenessOfMisspeltWords() {
        let triples: Set<UInt64> = QueryExpansion.triples("matryoska")
        #expect(QueryExpansion.likeness(triples, QueryExpansion.triples("matryoshka")) > 0.7)
        #expect(QueryExpansion.likeness(triples, QueryExpansion.triples("matrix")) < 0.5)
        #expect(QueryExpansion.likeness(triples, triples) == 1)
    }
}
