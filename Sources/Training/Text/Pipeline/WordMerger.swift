/// Applies a BPE model's merges to the symbols of one word: always the merge of lowest rank, the leftmost first.
enum WordMerger {
    /// Up to this many symbols looking through the whole word for each merge is faster than keeping a queue.
    private static let longestScanned = 24

    static func merge(_ symbols: inout [UInt32], with table: MergeTable) {
        if symbols.count <= longestScanned { scan(&symbols, table) } else { mergeByQueue(&symbols, table) }
    }

    private static func scan(_ symbols: inout [UInt32], _ table: MergeTable) {
        guard symbols.count > 1 else { return }
        while true {
            var best: (rank: UInt32, merged: UInt32)?
            var position = 0
            for index in 0..<symbols.count - 1 {
                guard let merge = table.merge(symbols[index], symbols[index + 1]) else { continue }
                if let found = best, found.rank <= merge.rank { continue }
                best = merge
                position = index
            }
            guard let best else { return }
            symbols[position] = best.merged
            symbols.remove(at: position + 1)
        }
    }

    /// In O(n log n): symbols in a linked list, possible merges in a heap of rank and position, those overtaken by others skipped.
    private static func mergeByQueue(_ symbols: inout [UInt32], _ table: MergeTable) {
        let count = symbols.count
        var previous = (0..<count).map { $0 - 1 }
        var next = (0..<count).map { $0 + 1 }
        var isAlive = [Bool](repeating: true, count: count)
        var heap = Heap<UInt64> { $0 < $1 }

        func push(_ position: Int, _ follower: Int, into heap: inout Heap<UInt64>) {
            guard position >= 0, follower < count, let merge = table.merge(symbols[position], symbols[follower]) else { return }
            heap.push(UInt64(merge.rank) << 32 | UInt64(position))
        }

        for position in 0..<count - 1 { push(position, position + 1, into: &heap) }
        while let entry = heap.pop() {
            let position = Int(entry & 0xFFFF_FFFF)
            let follower = next[position]
            guard isAlive[position], follower < count, let merge = table.merge(symbols[position], symbols[follower]),
                UInt64(merge.rank) == entry >> 32
            else { continue }
            symbols[position] = merge.merged
            isAlive[follower] = false
            next[position] = next[follower]
            if next[follower] < count { previous[next[follower]] = position }
            push(previous[position], position, into: &heap)
            push(position, next[position], into: &heap)
        }
        symbols = (0..<count).filter { isAlive[$0] }.map { symbols[$0] }
    }
}

/// A binary heap; the element that comes before all others is popped first.
struct Heap<Element> {
    private var elements: [Element] = []
    private let comesBefore: (Element, Element) -> Bool

    init(comesBefore: @escaping (Element, Element) -> Bool) { self.comesBefore = comesBefore }

    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard comesBefore(elements[child], elements[parent]) else { return }
            elements.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Element? {
        guard let first = elements.first, let last = elements.popLast() else { return nil }
        guard !elements.isEmpty else { return first }
        elements[0] = last
        var parent = 0
        while true {
            var best = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < elements.count {
                if comesBefore(elements[child], elements[best]) { best = child }
            }
            guard best != parent else { return first }
            elements.swapAt(best, parent)
            parent = best
        }
    }
}
