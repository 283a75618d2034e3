import Foundation

/// Finds the words that tell a paper from the others, by term frequency times inverse document frequency.
struct KeywordExtraction {
    private var papers: [String: Int] = [:]
    private var count: Int = 0

    /// Counts a text of the collection.
    mutating func add(_ text: String) {
        count += 1
        for word in Set(Self.words(text)) { papers[word, default: 0] += 1 }
    }

    /// The words of a paper with the largest product; words of the title count three times.
    func keywords(title: String, abstract: String, besides given: [String], count wanted: Int = 5) -> [String] {
        var frequencies: [String: Double] = [:]
        for word in Self.words(title) { frequencies[word, default: 0] += 3 }
        for word in Self.words(abstract) { frequencies[word, default: 0] += 1 }
        let known: Set<String> = Set(given.flatMap(TextAnalyzer.stems))
        var seen: Set<String> = []
        let scored: [(word: String, score: Double)] = frequencies.map { word, frequency in
            (word, frequency * log(Double(count + 1) / (Double(papers[word] ?? 0) + 0.5)))
        }
        var chosen: [String] = []
        for (word, _) in scored.sorted(by: { ($1.score, $0.word) < ($0.score, $1.word) }) where chosen.count < wanted {
            let stem: String = PorterStemmer.stem(word)
            if !known.contains(stem), seen.insert(stem).inserted { chosen.append(word) }
        }
        return chosen
    }

    /// Words of at least three letters that say something.
    private static func words(_ text: String) -> [String] {
        TextAnalyzer.words(text).filter { word in
            word.utf8.count >= 3 && !TextAnalyzer.stopWords.contains(word) && word.contains(where: \.isLetter)
        }
    }
}
