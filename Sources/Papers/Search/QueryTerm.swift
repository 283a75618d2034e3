import Foundation
import Yams

/// A word, or words that follow one another, that a search looks for, and how much it counts.
struct QueryTerm: Sendable, Equatable {
    let words: [String]
    let weight: Double

    var stems: [String] { words.map(PorterStemmer.stem) }
    var text: String { words.joined(separator: " ") }
}

/// The words that the catalogue knows.
protocol TermVocabulary {
    /// How many papers have a word of the same stem.
    func papers(with word: String) throws -> Int
    /// The stems that begin with a letter, and how many papers have each.
    func stems(startingWith letter: Character) throws -> [(stem: String, papers: Int)]
}

/// Makes a query's terms: its words and phrases, what stands in for words that the catalogue does not know, and synonyms.
struct QueryExpansion {
    let vocabulary: any TermVocabulary
    /// How many papers the catalogue has.
    var papers: Int = .max
    var synonyms: [[[String]]] = Synonyms.groups

    /// The weight of a synonym.
    static let synonymWeight: Double = 0.5
    /// The least share of letter triples that an unknown word has in common with what stands in for it.
    private static let leastLikeness: Double = 0.5
    private static let mostReplacements: Int = 3
    /// A word of more papers than this takes long to look up.
    private static let manyPapers: Int = 10_000

    func terms(of query: PaperQuery) throws -> [QueryTerm] {
        let all: [String] = query.words
        let telling: [String] = all.filter { !TextAnalyzer.stopWords.contains($0) }
        let words: [String] = telling.isEmpty && query.phrases.isEmpty ? all : telling
        var terms: [QueryTerm] = query.phrases.map { QueryTerm(words: $0, weight: 1) }
        let counts: [(word: String, papers: Int)] = try words.map { ($0, try vocabulary.papers(with: $0)) }
        for (word, count) in counts where !isCommon(count) || counts.allSatisfy({ isCommon($0.papers) }) {
            terms += count > 0 ? [QueryTerm(words: [word], weight: 1)] : try replacements(of: word)
        }
        terms += synonymTerms(([all] + query.phrases).map { $0.map(PorterStemmer.stem) })
        var seen: Set<[String]> = []
        return terms.filter { seen.insert($0.stems).inserted }
    }

    /// Whether so many papers have a word that it ranks none before another (its idf is 1e-6), and looking all of them up is a waste.
    private func isCommon(_ count: Int) -> Bool { count > Self.manyPapers && count > papers / 2 }

    /// Stems that begin with an unknown word, as while it is being typed, and those that are spelt nearly as it is.
    private func replacements(of word: String) throws -> [QueryTerm] {
        guard let letter = word.first, word.count >= 3 else { return [] }
        let triples: Set<UInt64> = Self.triples(PorterStemmer.stem(word))
        let known: [(stem: String, papers: Int)] = try vocabulary.stems(startingWith: letter)
        let scored: [(stem: String, papers: Int, likeness: Double)] = known.compactMap { stem, papers in
            let isLonger: Bool = stem.hasPrefix(word)
            guard isLonger || abs(stem.count - word.count) <= 3 else { return nil }
            let likeness: Double = isLonger ? 0.9 : Self.likeness(triples, Self.triples(stem))
            return likeness < Self.leastLikeness ? nil : (stem, papers, likeness)
        }
        return scored.sorted { ($1.likeness, $1.papers, $0.stem) < ($0.likeness, $0.papers, $1.stem) }.prefix(Self.mostReplacements)
            .map { QueryTerm(words: [$0.stem], weight: $0.likeness) }
    }

    /// The other names of everything in the query that has several.
    private func synonymTerms(_ sequences: [[String]]) -> [QueryTerm] {
        synonyms.flatMap { group -> [QueryTerm] in
            let stems: [[String]] = group.map { $0.map(PorterStemmer.stem) }
            guard stems.contains(where: { name in sequences.contains { $0.contains(name) } }) else { return [] }
            return group.map { QueryTerm(words: $0, weight: Self.synonymWeight) }
        }
    }

    /// Triples of letters of a word with its beginning and end marked, each as a number: a letter has 21 bits.
    static func triples(_ word: String) -> Set<UInt64> {
        let marked: [UInt64] = "^^\(word)$".unicodeScalars.map { UInt64($0.value) }
        return Set((0..<marked.count - 2).map { marked[$0] << 42 | marked[$0 + 1] << 21 | marked[$0 + 2] })
    }

    /// Dice's coefficient.
    static func likeness(_ left: Set<UInt64>, _ right: Set<UInt64>) -> Double {
        2 * Double(left.intersection(right).count) / Double(left.count + right.count)
    }
}

/// The table of synonyms that comes with Linnet.
enum Synonyms {
    /// Groups of names, each name in words; empty where the resource is missing.
    static let groups: [[[String]]] = {
        guard let file = Bundle.module.url(forResource: "synonyms", withExtension: "yaml"),
            let text = try? String(contentsOf: file, encoding: .utf8),
            let groups = try? YAMLDecoder().decode([[String]].self, from: text)
        else { return [] }
        return groups.map { $0.map(TextAnalyzer.words) }
    }()
}
