/// The distinct words of a corpus, cut by GPT-2's pattern, with how often each occurs.
struct WordCounts {
    private var counts: [[UInt8]: Int] = [:]

    mutating func add(_ text: String) {
        let bytes = Array(text.utf8)[...]
        for range in PatternScanner.gpt2.matches(in: bytes) { counts[Array(bytes[range]), default: 0] += 1 }
    }

    /// In an order that does not depend on hashing.
    var words: [(bytes: [UInt8], count: Int)] {
        counts.map { (bytes: $0.key, count: $0.value) }.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }
}

/// Learns byte pair merges with counts that are kept up to date merge by merge.
///
/// A heap holds candidate pairs with the words in which they may stand. A pair's count there can be too high, for other merges take
/// occurrences away; such a candidate is put back with its present count when it comes up. This is the scheme of the `tokenizers`
/// package, and where two ways lead to the same token it decides which merges come out, so it is followed exactly.
struct BPETrainer {
    private struct Pair: Hashable {
        let left: UInt32
        let right: UInt32
    }

    private struct Candidate {
        let pair: Pair
        var count: Int
        /// Indices of words, each once.
        let words: Set<Int>

        /// The more frequent pair first, among equals the one of lower ids.
        func comesBefore(_ other: Candidate) -> Bool {
            if count != other.count { return count > other.count }
            return (pair.left, pair.right) < (other.pair.left, other.pair.right)
        }
    }

    /// The tokens by id, in the byte-level alphabet.
    private var tokens: [[UInt8]] = []
    private var ids: [[UInt8]: UInt32] = [:]
    private var merges: [Pair] = []
    private var words: [[UInt32]] = []
    private let wordCounts: [Int]
    private var pairCounts: [Pair: Int] = [:]
    private var changedWords: [Pair: Set<Int>] = [:]
    private var candidates = Heap<Candidate> { $0.comesBefore($1) }

    init(words: [(bytes: [UInt8], count: Int)], specialTokens: [[UInt8]]) {
        wordCounts = words.map(\.count)
        for token in specialTokens { _ = id(of: token) }
        for scalar in ByteAlphabet.scalars.sorted() { _ = id(of: UTF8Scalars.bytes(of: scalar)) }
        let byteIDs = ByteAlphabet.encodings.map { id(of: $0) }
        self.words = words.map { word in word.bytes.map { byteIDs[Int($0)] } }
    }

    /// The id of a token, a new one if it has none yet.
    private mutating func id(of token: [UInt8]) -> UInt32 {
        if let id = ids[token] { return id }
        let id = UInt32(tokens.count)
        ids[token] = id
        tokens.append(token)
        return id
    }

    mutating func train(vocabularySize: Int, minimumFrequency: Int, progress: ((Int, Int) -> Void)?) {
        countPairs()
        pushChanges()
        while tokens.count < vocabularySize, var best = candidates.pop() {
            let count = pairCounts[best.pair] ?? 0
            if best.count != count {
                best.count = count
                candidates.push(best)
                continue
            }
            if count < max(1, minimumFrequency) { break }
            merge(best)
            if merges.count % 64 == 0 { progress?(tokens.count, vocabularySize) }
        }
        progress?(tokens.count, vocabularySize)
    }

    private mutating func countPairs() {
        for (index, word) in words.enumerated() {
            for (left, right) in zip(word, word.dropFirst()) { change(Pair(left: left, right: right), by: 1, inWord: index) }
        }
    }

    private mutating func change(_ pair: Pair, by occurrences: Int, inWord word: Int) {
        pairCounts[pair, default: 0] += occurrences * wordCounts[word]
        if occurrences > 0 { changedWords[pair, default: []].insert(word) }
    }

    /// Puts the pairs that have come into being among the candidates.
    private mutating func pushChanges() {
        for (pair, words) in changedWords {
            let count = pairCounts[pair] ?? 0
            if count > 0 { candidates.push(Candidate(pair: pair, count: count, words: words)) }
        }
        changedWords.removeAll(keepingCapacity: true)
    }

    private mutating func merge(_ candidate: Candidate) {
        let pair = candidate.pair
        let merged = id(of: tokens[Int(pair.left)] + tokens[Int(pair.right)])
        merges.append(pair)
        for word in candidate.words { merge(pair, into: merged, inWord: word) }
        pushChanges()
    }

    /// Merges a pair in one word from left to right and records how that changes the counts of its neighbours.
    private mutating func merge(_ pair: Pair, into merged: UInt32, inWord index: Int) {
        let old = words[index]
        var new: [UInt32] = []
        new.reserveCapacity(old.count)
        var position = 0
        while position < old.count {
            guard position + 1 < old.count, old[position] == pair.left, old[position + 1] == pair.right else {
                new.append(old[position])
                position += 1
                continue
            }
            if let before = new.last {
                change(Pair(left: before, right: pair.left), by: -1, inWord: index)
                change(Pair(left: before, right: merged), by: 1, inWord: index)
            }
            new.append(merged)
            position += 2
            if position < old.count {
                change(Pair(left: pair.right, right: old[position]), by: -1, inWord: index)
                change(Pair(left: merged, right: old[position]), by: 1, inWord: index)
            }
        }
        words[index] = new
    }

    /// What was learnt as a `tokenizer.json`.
    func document(specialTokens: [[UInt8]]) -> JSONValue {
        let vocabulary = tokens.enumerated().map { JSONMember(key: $0.element, value: .integer($0.offset)) }
        let model = TokenizerDocument.bytePairModel(
            vocabulary: vocabulary,
            merges: uniqueMerges.map { pair in
                .array([.string(tokens[Int(pair.left)]), .string(tokens[Int(pair.right)])])
            })
        return TokenizerDocument.make(
            model: model, addedTokens: specialTokens.map { TokenizerDocument.specialToken($0, id: Int(ids[$0]!)) },
            preTokenizer: TokenizerDocument.byteLevel(usesPattern: true), decoder: TokenizerDocument.byteLevel(usesPattern: true))
    }

    /// A pair can come up twice, where its token could be made in two ways; the last time counts.
    private var uniqueMerges: [Pair] {
        var seen: Set<Pair> = []
        return merges.reversed().filter { seen.insert($0).inserted }.reversed()
    }
}
