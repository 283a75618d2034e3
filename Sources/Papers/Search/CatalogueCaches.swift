import GRDB
import Synchronization

/// What a store keeps in memory of its tables, each made anew when the counter of its kind of change has moved.
final class CatalogueCaches: Sendable {
    let listing: Cached<ListingTable> = Cached()
    let events: Cached<[Int64: Trend.Events]> = Cached()
    let keywords: Cached<BM25Index> = Cached()
    let stems: Cached<StemTable> = Cached()
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
