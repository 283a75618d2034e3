import Foundation
import NN
import Optim
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct ShardedCheckpointTests {
    private static func folder() -> URL {
        FileManager.default.temporaryDirectory.appendingPathComponent("linnet-shards-\(UUID().uuidString)", isDirectory: true)
    }

    private static func makeModel() throws -> GPT2Model {
        shardRandomized(
            GPT2Model(try GPT2Configuration(vocabularySize: 16, dimensions: 16, layers: 1, heads: 4, maximumContext: 8)))
    }

    private static func makeOptimizer(_ model: Module) throws -> AdamW {
        try AdamW(groups: .decayingMatricesOnly(model.namedParameters()), configuration: AdamWConfiguration(learningRate: 0.01))
    }

    private static func step(_ model: GPT2Model, _ optimizer: AdamW) {
        let tokens: Tensor = shardTokens()
        let (_, gradients): (Tensor, [Tensor]) = valueAndGrad(of: optimizer.parameters) { model(tokens).square().mean() }
        optimizer.step(gradients)
    }

    /// Two steps on four ranks; then a third on any number of ranks gives what the third gives on one process.
    @Test func readByAnyNumberOfRanks() throws {
        let folder: URL = Self.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try ProcessGroup.onThreads(4) { group in
            let groups: MeshGroups = try MeshGroups(Mesh(dp: 1, mp: 4), over: group)
            let model: GPT2Model = try Self.makeModel()
            let layout: ShardLayout = try AutoShard.apply(model, over: groups.model)
            let optimizer: AdamW = try Self.makeOptimizer(model)
            for _ in 0..<2 { Self.step(model, optimizer) }
            try ShardedCheckpoint(folder).save(model, layout: layout, optimizer: optimizer, step: 2, groups: groups)
        }
        let reference: GPT2Model = try Self.makeModel()
        let optimizer: AdamW = try Self.makeOptimizer(reference)
        for _ in 0..<3 { Self.step(reference, optimizer) }
        let wanted: [String: [Double]] = Dictionary(
            uniqueKeysWithValues: reference.stateTensors().map { ($0.0, $0.1.flattened().array(Double.self)) })
        for shards in [1, 2, 4] {
            let worst: [Double] = try ProcessGroup.onThreads(shards) { group in
                let groups: MeshGroups = try MeshGroups(Mesh(dp: 1, mp: shards), over: group)
                let model: GPT2Model = try Self.makeModel()
                noGrad { for tensor in model.parameters() { tensor.zero_() } }
                let layout: ShardLayout = try AutoShard.apply(model, over: groups.model)
                let optimizer: AdamW = try Self.makeOptimizer(model)
                #expect(try ShardedCheckpoint(folder).loadLatest(into: model, layout: layout, optimizer: optimizer) == 2)
                Self.step(model, optimizer)
                let state: [String: Tensor] = try layout.wholeState(of: model)
                return state.map { name, tensor in
                    shardDeviation(tensor.asType(.float64), Tensor(wanted[name] ?? [], tensor.shape, dtype: .float64))
                }.max() ?? .infinity
            }
            for rank in worst { #expect(rank < 1e-9, "\(shards) shards") }
        }
    }

    @Test func brokenFoldersAreErrors() throws {
        let folder: URL = Self.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let groups: MeshGroups = try MeshGroups(Mesh(dp: 1, mp: 1), over: .single)
        let model: GPT2Model = try Self.makeModel()
        let layout: ShardLayout = try AutoShard.apply(model, over: groups.model)
        let checkpoint: ShardedCheckpoint = ShardedCheckpoint(folder)
        #expect(try checkpoint.loadLatest(into: model, layout: layout) == nil)
        try checkpoint.save(model, layout: layout, step: 7, groups: groups)
        #expect(checkpoint.steps == [7])
        #expect(try checkpoint.loadLatest(into: model, layout: layout) == 7)
        // Without the optimizer's state it cannot be had.
        let optimizer: AdamW = try Self.makeOptimizer(model)
        #expect(throws: ShardingError.self) { try checkpoint.loadLatest(into: model, layout: layout, optimizer: optimizer) }
        let index: URL = checkpoint.url(step: 7).appendingPathComponent("sharding.json")
        let text: String = try String(contentsOf: index, encoding: .utf8)
        for broken in ["{", "[]", text.replacingOccurrences(of: "\"shards\" : 1", with: "\"shards\" : -1")] {
            try broken.write(to: index, atomically: true, encoding: .utf8)
            #expect(throws: ShardingError.self) { try checkpoint.loadLatest(into: model, layout: layout) }
        }
        try text.replacingOccurrences(of: "\"shards\" : 1", with: "\"shards\" : 3").write(to: index, atomically: true, encoding: .utf8)
        #expect(throws: (any Error).self) { try checkpoint.loadLatest(into: model, layout: layout) }
        // A checkpoint without its index was never finished.
        try FileManager.default.removeItem(at: index)
        #expect(checkpoint.steps.isEmpty)
    }
}
