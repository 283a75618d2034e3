import Foundation
import Papers
import Training

/// Listing and search over 100,000 imported papers.
enum PapersBenchmark: Benchmark {
    static let name: String = "papers"
    static let summary: String = "time to import 100,000 papers, and to list and search them (targets at the 95th percentile: 20 and 60 ms)"

    private static let papers: Int = 100_000
    private static let repetitions: Int = 60

    static func run() throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-bench-papers-\(getpid())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let store: PaperStore = try PaperStore(folder.path + "/papers.db")
        var words: SyntheticPapers = SyntheticPapers()
        let file: Data = Data((0..<papers).map { words.paper($0) }.joined().utf8)
        let importing: Double = try seconds { _ = try store.importPapers(file, format: .listing) }
        printLine(String(format: "import of %d papers (%.0f MB): %.1f s", papers, Double(file.count) / 1e6, importing))
        printLine(String(format: "fitting the model and encoding all: %.1f s", try seconds { try store.encodePapers() }))
        printLine("                                    p50 ms    p95 ms    first ms   target")
        try listings(store)
        try searches(store, &words)
    }

    private static func listings(_ store: PaperStore) throws {
        let filters: [(name: String, filter: PaperFilter)] = [
            ("all", PaperFilter()), ("group sequence", PaperFilter(groups: [.sequence])),
            ("group imported", PaperFilter(groups: [.imported])),
            ("status listed", PaperFilter(statuses: [.listed])), ("verdict shown", PaperFilter(verdicts: [.shown])),
        ]
        for index in 0..<500 {
            try store.upvote(try store.listing(order: .title, limit: 1, offset: 199 * index)[0].slug, voter: "\(index)")
        }
        for order in PaperOrder.allCases {
            for (name, filter) in filters {
                try report("listing, \(order), \(name)", target: 20) { index in
                    _ = try store.listing(filter, order: order, limit: 50, offset: 50 * (index % 10))
                    _ = try store.count(filter)
                }
            }
        }
        try report("listing, trending, deep pages", target: 20) { index in
            _ = try store.listing(limit: 50, offset: index * papers / repetitions)
        }
    }

    private static func searches(_ store: PaperStore, _ words: inout SyntheticPapers) throws {
        let queries: [String] = (0..<repetitions).map { words.query(1 + $0 % 4) }
        for mode in SearchMode.allCases {
            try report("search, \(mode)", target: 60) { _ = try store.search(try PaperQuery(queries[$0]), mode: mode, limit: 20) }
        }
        try report("search, hybrid, group sequence", target: 60) {
            _ = try store.search(try PaperQuery(queries[$0] + " group:sequence"), limit: 20)
        }
        try report("search, hybrid, misspelt", target: 60) { _ = try store.search(try PaperQuery(queries[$0] + "xq"), limit: 20) }
        try report("similar", target: 60) { index in _ = try store.similar(to: index % 2 == 0 ? "gla" : "lssl", limit: 10) }
    }

    private static func report(_ name: String, target: Double, _ body: (Int) throws -> Void) throws {
        let first: Double = try seconds { try body(0) }
        let times: [Double] = try (0..<repetitions).map { index in try seconds { try body(index) } }.sorted()
        let columns: [String] = [times[repetitions / 2], times[repetitions * 95 / 100], first].map { String(format: "%10.2f", $0 * 1000) }
        printLine(name.padding(toLength: 32, withPad: " ", startingAt: 0) + columns.joined() + String(format: "   %6.0f", target))
    }

    private static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let clock: ContinuousClock = ContinuousClock()
        return try clock.measure { try body() } / .seconds(1)
    }
}

/// Papers of made-up words, which occur as words do: the n-th most frequent 1/n as often as the first (Zipf's law).
private struct SyntheticPapers {
    private let words: [String]
    /// Sums of the frequencies, to draw by.
    private let sums: [Double]
    private var generator: SplitMix64 = SplitMix64(seed: 1)

    init() {
        let syllables: [String] = ["ra", "ne", "lo", "ti", "ku", "ma", "se", "po", "vi", "du", "ga", "fe"]
        words = (0..<30_000).map { number in
            var (rest, word): (Int, String) = (number, "")
            repeat {
                word += syllables[rest % syllables.count]
                rest /= syllables.count
            } while rest > 0
            return word + "n"
        }
        var sum: Double = 0
        sums = (1...words.count).map {
            sum += 1 / Double($0)
            return sum
        }
    }

    private mutating func word() -> String {
        let place: Double = Double(generator.next() >> 11) / Double(1 << 53) * sums[sums.count - 1]
        var (low, high): (Int, Int) = (0, sums.count - 1)
        while low < high {
            let middle: Int = (low + high) / 2
            if sums[middle] < place { low = middle + 1 } else { high = middle }
        }
        return words[low]
    }

    private mutating func text(_ count: Int) -> String { (0..<count).map { _ in word() }.joined(separator: " ") }

    mutating func paper(_ number: Int) -> String { "\(text(8)) \(number)\n\n\(text(100)).\n\n" }

    mutating func query(_ count: Int) -> String { text(count) }
}
