import Foundation
import TestSupport
import Testing
import Torch
import Training

@Suite("Process groups", .ownRandomNumbers)
struct ProcessGroupTests {
    /// A tensor of a rank's own: `[rank, rank + 1, ...]`.
    private static func numbers(_ rank: Int, _ count: Int = 6) -> Tensor {
        Tensor((0..<count).map { Float(rank) + Float($0) }, device: .cpu)
    }

    @Test("an all-reduce equals the sum of an all-gather, on every rank", arguments: [2, 3, 4])
    func allReduceEqualsGather(worldSize: Int) throws {
        let results: [[Float]] = try ProcessGroup.onThreads(worldSize) { group in
            let generator: RandomGenerator = RandomGenerator(seed: UInt64(group.rank + 1), device: .cpu)
            let own: Tensor = Tensor.normal([1000], device: .cpu, generator: generator)
            let gathered: [Tensor] = try group.allGather(own)
            let expected: Tensor = stacked(gathered).sum(axis: 0)
            try group.allReduce(own)
            #expect((own - expected).abs().max().item(Float.self) <= 1e-6 * 10)
            return own.array(Float.self)
        }
        #expect(results.allSatisfy { $0 == results[0] }, "all ranks hold the same bits")
    }

    @Test("maximum and minimum")
    func extremes() throws {
        let results: [[Float]] = try ProcessGroup.onThreads(3) { group in
            let (high, low): (Tensor, Tensor) = (Self.numbers(group.rank, 2), Self.numbers(group.rank, 2))
            try group.allReduce(high, .maximum)
            try group.allReduce(low, .minimum)
            #expect(!group.takesGPU, "threads of one process share its GPU, if it has one")
            return high.array(Float.self) + low.array(Float.self)
        }
        #expect(results.allSatisfy { $0 == [2, 3, 0, 1] })
    }

    @Test("broadcast, all-gather, reduce-scatter and all-to-all move what they should")
    func movements() throws {
        let results: [[Float]] = try ProcessGroup.onThreads(3) { group in
            let copied: Tensor = Self.numbers(group.rank, 2)
            try group.broadcast(copied, from: 1)
            let gathered: [Tensor] = try group.allGather(Tensor([Float(group.rank)], device: .cpu))
            let parts: [Tensor] = (0..<3).map { Tensor([Float(10 * group.rank + $0)], device: .cpu) }
            let reduced: Tensor = try group.reduceScatter(parts)
            let exchanged: [Tensor] = try group.allToAll(parts)
            return ([copied] + gathered + [reduced] + exchanged).flatMap { $0.array(Float.self) }
        }
        for (rank, result) in results.enumerated() {
            let place: Float = Float(rank)
            #expect(result == [1, 2, 0, 1, 2, 30 + 3 * place, place, 10 + place, 20 + place])
        }
    }

    @Test("a ring of sends and receives, while the send is in flight")
    func ring() throws {
        let results: [Float] = try ProcessGroup.onThreads(3) { group in
            let (next, previous): (Int, Int) = ((group.rank + 1) % 3, (group.rank + 2) % 3)
            let work: CollectiveWork = try group.startSend(Tensor([Float(group.rank)], device: .cpu), to: next, tag: 7)
            let received: Tensor = Tensor.zeros([1], device: .cpu)
            try group.receive(into: received, from: previous, tag: 7)
            try work.wait()
            try group.barrier()
            return received.item(Float.self)
        }
        #expect(results == [2, 0, 1])
    }

    @Test("several operations in flight end in any order of waiting")
    func overlap() throws {
        let results: [[Float]] = try ProcessGroup.onThreads(2) { group in
            let tensors: [Tensor] = (0..<5).map { Tensor.full([100], Float($0 + group.rank), device: .cpu) }
            let works: [CollectiveWork] = try tensors.map { try group.startAllReduce($0) }
            for work in works.reversed() { try work.wait() }
            #expect(works.allSatisfy { $0.isDone })
            return tensors.map { $0[0].item(Float.self) }
        }
        #expect(results == [[1, 3, 5, 7, 9], [1, 3, 5, 7, 9]])
    }

    @Test("integers and double precision", arguments: [DType.int64, .uint8, .float64, .bfloat16])
    func types(dtype: DType) throws {
        let sums: [Double] = try ProcessGroup.onThreads(2) { group in
            let tensor: Tensor = Tensor.full([3], Float(group.rank + 1), device: .cpu).asType(dtype)
            try group.allReduce(tensor)
            return tensor[2].item(Double.self)
        }
        #expect(sums == [3, 3])
    }

    @Test("sub-groups along both axes of a mesh")
    func split() throws {
        let results: [[Float]] = try ProcessGroup.onThreads(4) { group in
            let rows: [ProcessGroup?] = try [[0, 1], [2, 3]].map { try group.split(ranks: $0) }
            let columns: [ProcessGroup?] = try [[0, 2], [1, 3]].map { try group.split(ranks: $0) }
            let row: ProcessGroup = rows.compactMap(\.self)[0]
            let column: ProcessGroup = columns.compactMap(\.self)[0]
            #expect(row.worldSize == 2 && row.rank == group.rank % 2)
            #expect(column.worldSize == 2 && column.rank == group.rank / 2)
            let (across, down): (Tensor, Tensor) = (Self.numbers(group.rank, 1), Self.numbers(group.rank, 1))
            try row.allReduce(across)
            try column.allReduce(down)
            let alone: ProcessGroup? = try group.split(ranks: [3])
            #expect(alone?.worldSize == (group.rank == 3 ? 1 : nil))
            return [across.item(Float.self), down.item(Float.self)]
        }
        #expect(results == [[1, 2], [1, 4], [5, 2], [5, 4]])
    }

    @Test("the counter of bytes follows the formulas")
    func wireCounter() throws {
        let stats: [CommStats] = try ProcessGroup.onThreads(4) { group in
            let tensor: Tensor = Tensor.zeros([250], device: .cpu)
            try group.allReduce(tensor)
            let reduced: CommStats = group.stats
            #expect(reduced == CommStats(operations: 1, bytes: 2 * 1000 * 3 / 4))
            _ = try group.allGather(tensor)
            #expect(group.stats - reduced == CommStats(operations: 1, bytes: 3000))
            try group.broadcast(tensor, from: 0)
            _ = try group.reduceScatter(Array(repeating: tensor, count: 4))
            return group.stats
        }
        #expect(stats.allSatisfy { $0 == CommStats(operations: 4, bytes: 1500 + 3000 + 750 + 3000) })
        let network: NetworkModel = .ethernet(gigabits: 1)
        #expect(abs(stats[0].seconds(on: network) - (4 * 50e-6 + 8250 / 125e6)) < 1e-12)
    }

    @Test("a group of one does nothing, and counts no bytes")
    func single() throws {
        let group: ProcessGroup = .single
        let tensor: Tensor = Self.numbers(3)
        try group.allReduce(tensor)
        try group.broadcast(tensor, from: 0)
        #expect(tensor.array(Float.self) == Self.numbers(3).array(Float.self))
        let copies: [Tensor] = try group.allGather(tensor) + [group.reduceScatter([tensor])] + group.allToAll([tensor])
        #expect(copies.count == 3 && copies.allSatisfy { $0.array(Float.self) == tensor.array(Float.self) })
        try group.barrier()
        #expect(group.stats.bytes == 0 && group.stats.operations == 0)
        let part: ProcessGroup? = try group.split(ranks: [0])
        #expect(part?.worldSize == 1)
    }

    @Test("a member that does not come is a typed error within the timeout")
    func lateMember() throws {
        let start: Date = Date()
        let error: DistributedError? = #expect(throws: DistributedError.self) {
            _ = try ProcessGroup.onThreads(2, timeout: 0.5) { group in
                if group.rank == 0 { try group.allReduce(Self.numbers(0)) }
            }
        }
        #expect(Date().timeIntervalSince(start) < 10)
        guard case .timedOut(let operation, 0, 0.5)? = error else {
            Issue.record("\(error.map(String.init(describing:)) ?? "no error")")
            return
        }
        #expect(operation == "allReduce")
        #expect(!"\(error!)".contains("\n"))
    }

    @Test("processes that share a file or a port find one another", arguments: ["file", "tcp"])
    func stores(kind: String) throws {
        let path: String = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let port: Int = try ListeningSocket().port
        let sums: [Float] = try ProcessGroup.onThreads(2) { outer in
            let store: RendezvousStore =
                kind == "file"
                ? try .file(path, worldSize: 2)
                : try .tcp(host: "127.0.0.1", port: port, isServer: outer.rank == 0, worldSize: 2, timeout: 20)
            let group: ProcessGroup = try ProcessGroup(store: store, rank: outer.rank, worldSize: 2, timeout: 20)
            let tensor: Tensor = Self.numbers(group.rank, 1)
            try group.allReduce(tensor)
            try group.barrier()
            return tensor.item(Float.self)
        }
        #expect(sums == [1, 1])
    }
}
