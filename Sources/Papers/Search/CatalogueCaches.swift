import GRDB
import Synchronization

/// What a store keeps in memory of its tables, each made anew when the counter of its kind of change has moved.
final class CatalogueCaches: Sendable {
    let listing: Cached<ListingTable> = Cached()
    let filtered: Cached<Memo<PaperFilter, Int>> = Cached()
    let events: Cached<[Int64: Trend.Events]> = Cached()
    let keywords: Cached<BM25Index> = Cached()
    let stems: Cached<StemTable> = Cached()
    let counts: Cached<Memo<String, Int>> = Cached()
    let results: Cached<Memo<SearchRequest, [SearchHit]>> = Cached()
    let semantics: Cached<SemanticIndex> = Cached()
}

/// A value that belongs to a state of the database. While one thread makes it anew, others wait for it.
final class Cached<Value: Sendable>: Sendable {
    private let kept: Mutex<(counter: Int, value: Value)?> = Mutex(nil)

    /// The kept value if it is of this state, else what `make` gives, which is kept.
    func value(of counter: Int, _ make: () throws -> Value) rethrows -> Value {
        try kept.withLock { kept in
            if let kept, kept.counter == counter { return kept.value }
            let made: Value = try make()
            kept = (counter, made)
            return made
        }
    }

    /// The kept value of whatever state.
    var last: Value? { kept.withLock { $0?.value } }
}

/// Results of a function by its argument; when there are too many, all are forgotten.
final class Memo<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let most: Int
    private let kept: Mutex<[Key: Value]> = Mutex([:])

    init(most: Int) { self.most = most }

    /// The kept result, else what `make` gives, which is kept. Two threads that ask at once may both make it.
    func value(of key: Key, _ make: () throws -> Value) rethrows -> Value {
        if let known = kept.withLock({ $0[key] }) { return known }
        let made: Value = try make()
        kept.withLock { kept in
            if kept.count >= most { kept.removeAll() }
            kept[key] = made
        }
        return made
    }
}

/// What a search is asked for. Ties are broken by trend, which moves with time: a result is kept for a minute.
struct SearchRequest: Hashable {
    let query: String
    let mode: SearchMode
    let filter: PaperFilter
    let limit: Int
    let minute: Int
}
