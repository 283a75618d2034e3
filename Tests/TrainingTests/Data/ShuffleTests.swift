import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct ShuffleTests {
    @Test func theGeneratorIsSplitMix64() {
        var generator = SplitMix64(seed: 1_234_567)
        let expected: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        #expect((0..<3).map { _ in generator.next() } == expected)
    }

    @Test func boundedNumbersAreEven() {
        var generator = SplitMix64(seed: 3)
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[Int(generator.next(below: 7))] += 1 }
        #expect(counts.allSatisfy { abs($0 - 10_000) < 400 })
    }

    /// The order is part of a checkpoint's meaning: this one was computed by an independent script in Python.
    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"), arguments: [0, 1, 5])
    func theOrderEqualsAnIndependentOne(epoch: Int) throws {
        var indices = ShuffledIndices(count: 50, seed: 42)
        for _ in 0..<50 * epoch { _ = indices.next() }
        let order = (0..<50).map { _ in String(indices.next()) }.joined(separator: " ")
        let script = """
            import sys
            M=2**64-1
            def mix(z):
                z=((z^(z>>30))*0xBF58476D1CE4E5B9)&M; z=((z^(z>>27))*0x94D049BB133111EB)&M
                return z^(z>>31)
            s=mix(42)^mix((int(sys.argv[1])+0x9E3779B97F4A7C15)&M)
            def draw():
                global s
                s=(s+0x9E3779B97F4A7C15)&M
                return mix(s)
            o=list(range(50))
            for i in range(49,0,-1):
                b=i+1; t=(2**64-b)%b; p=draw()*b
                while (p&M)<t: p=draw()*b
                j=p>>64; o[i],o[j]=o[j],o[i]
            print(*o)
            """
        #expect(order + "\n" == (try PythonPeer.run(script, "\(epoch)")))
    }

    @Test func everyEpochIsAnotherPermutation() {
        var indices = ShuffledIndices(count: 100, seed: 1)
        let epochs = (0..<3).map { _ in (0..<100).map { _ in indices.next() } }
        for epoch in epochs { #expect(epoch.sorted() == Array(0..<100)) }
        #expect(Set(epochs).count == 3 && epochs[0] != Array(0..<100))
        var plain = ShuffledIndices(count: 3, seed: 1, shuffles: false)
        #expect((0..<5).map { _ in plain.next() } == [0, 1, 2, 0, 1])
    }

    @Test func aRestoredPositionGivesTheSameRest() throws {
        var indices = ShuffledIndices(count: 37, seed: 9)
        for _ in 0..<53 { _ = indices.next() }
        let saved = try JSONEncoder().encode(indices.state)
        let rest = (0..<100).map { _ in indices.next() }
        var resumed = ShuffledIndices(count: 37, seed: 0)
        try resumed.restore(JSONDecoder().decode(ShuffledIndices.State.self, from: saved))
        #expect((0..<100).map { _ in resumed.next() } == rest)
        var other = ShuffledIndices(count: 38, seed: 9)
        let error = #expect(throws: DataPositionError.self) { try other.restore(indices.state) }
        #expect(error?.description.contains("37 examples") == true)
    }

    @Test func batchesStopAtTheEpochsEnd() {
        var indices = ShuffledIndices(count: 10, seed: 2)
        #expect((0..<4).map { _ in indices.nextBatch(4).count } == [4, 4, 2, 4])
        var whole = ShuffledIndices(count: 10, seed: 2)
        #expect((0..<4).map { _ in whole.nextBatch(4, dropsLast: true).count } == [4, 4, 4, 4])
        #expect(whole.state.epoch == 1)
    }

    @Test func shardsAreDisjointAndOfOneLength() {
        let shards = (0..<3).map { rank in
            var indices = ShuffledIndices(count: 11, seed: 5, rank: rank, world: 3)
            return indices.nextBatch(100)
        }
        #expect(shards.allSatisfy { $0.count == 3 })
        #expect(Set(shards.joined()).count == 9)
    }
}

@Suite(.ownRandomNumbers) struct PrefetcherTests {
    private struct Broken: Error {}

    @Test func keepsTheOrderAndReportsThePositionOfTheConsumedBatch() throws {
        var expected = ShuffledIndices(count: 20, seed: 3)
        let batches = Prefetcher(from: expected, depth: 4) { indices in Array(indices.nextBatch(6)) }
        #expect(batches.position.state == expected.state)
        for _ in 0..<50 {
            #expect(try batches.next() == Array(expected.nextBatch(6)))
            #expect(batches.position.state == expected.state)
        }
    }

    @Test func preparesAheadButNotFurtherThanItsDepth() throws {
        let produced = Atomic(0)
        let batches = Prefetcher(from: 0, depth: 3) { position -> Int? in
            produced.add(1, ordering: .relaxed)
            position += 1
            return position
        }
        func settled(_ count: Int) -> Bool {
            for _ in 0..<500 where produced.load(ordering: .relaxed) < count { usleep(2000) }
            usleep(20_000)
            return produced.load(ordering: .relaxed) == count
        }
        #expect(settled(3))
        #expect(try batches.next() == 1)
        #expect(settled(4))
    }

    @Test func anErrorComesInItsPlaceAndStays() throws {
        let batches = Prefetcher(from: 0) { position -> Int? in
            position += 1
            if position == 3 { throw Broken() }
            return position
        }
        #expect(try batches.next() == 1)
        #expect(try batches.next() == 2)
        #expect(throws: Broken.self) { try batches.next() }
        #expect(throws: Broken.self) { try batches.next() }
        #expect(batches.position == 2)
    }

    @Test func endsAndCanBeCancelledOrDropped() throws {
        let short = Prefetcher(from: 0) { position -> Int? in
            position += 1
            return position < 3 ? position : nil
        }
        #expect(try [short.next(), short.next(), short.next(), short.next()] == [1, 2, nil, nil])
        let running = Prefetcher(from: 0) { position -> Int? in
            position += 1; return position
        }
        #expect(try running.next() == 1)
        running.cancel()
        #expect(try running.next() == nil)
        #expect(try running.next() == nil)
        // A prefetcher that nobody holds stops its thread: the closure, and what it captured, is freed.
        weak var captured: Token?
        do {
            let token = Token()
            captured = token
            let dropped = Prefetcher(from: 0) { position -> Int? in
                position += token.step
                return position
            }
            #expect(try dropped.next() == 1)
        }
        for _ in 0..<1000 where captured != nil { usleep(2000) }
        let isFreed = captured == nil
        #expect(isFreed)
    }

    private final class Token: Sendable { let step = 1 }
}
