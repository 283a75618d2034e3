import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MemoryLayerTests {
    /// Channels that are far enough from 0 that a finite difference changes no code.
    private static func awayFromZero(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
        let x: Tensor = normal(shape, seed: seed)
        return x.sign() * (x.abs() + 0.05)
    }

    @Test(arguments: [1.0, 0.7]) func probabilityIsTheSoftmaxOverAllSignPatterns(temperature: Double) {
        let bits: Int = 6
        let z: Tensor = normal([5, bits])
        let hash: MemoryHash = MemoryHash(bits, bits: bits, weighting: .probability, temperature: temperature)
        let found: Tensor = hash.encode(z).weights.squeezed(axis: -1)
        let patterns: [Double] = (0..<1 << bits).flatMap { code in (0..<bits).map { code >> $0 & 1 == 1 ? 1.0 : -1.0 } }
        let scores: Tensor = z.matmul(Tensor(patterns, [1 << bits, bits], device: .cpu).mT) / temperature
        let own: Tensor = (z.abs().sum(axis: -1) / temperature).exp()
        #expect((found - own / scores.exp().sum(axis: -1)).abs().max().item(Double.self) < 1e-12)
        #expect(found.max().item(Double.self) <= 1)
    }

    @Test func theFirstChannelIsTheHighestBit() {
        let z: Tensor = normal([7, 12])
        let codes: [Int] = MemoryHash(12, bits: 4).encode(z).codes.array()
        let values: [Double] = z.array()
        for row in 0..<7 {
            for table in 0..<3 {
                var expected: Int = 0
                for bit in 0..<4 where values[row * 12 + table * 4 + bit] >= 0 { expected += 1 << (3 - bit) }
                #expect(codes[row * 3 + table] == expected)
            }
        }
        #expect(MemoryHash(2, bits: 2).encode(Tensor([0.0, -1.0], [1, 2], device: .cpu)).codes.item(Int.self) == 2)
    }

    @Test(arguments: MemoryWeighting.allCases) func outputIsTheSumOfWeightedRowsWithItsGradients(weighting: MemoryWeighting) throws {
        let layer: MemoryLayer = MemoryLayer(6, 5, bits: 3, weighting: weighting, temperature: 0.8, standardDeviation: 1)
        layer.to(dtype: .float64)
        let x: Tensor = Self.awayFromZero([2, 3, 6])
        let encoded: MemoryCodes = layer.hash.encode(x)
        let codes: [Int] = encoded.codes.array()
        var expected: Tensor = layer.lookup.bias.detached().expanded(to: [6, 5])
        for table in 0..<2 {
            let rows: [Int] = (0..<6).map { table * 8 + codes[$0 * 2 + table] }
            let picked: Tensor = layer.lookup.tables.indexSelect(axis: 0, indices: Tensor(rows, device: .cpu))
            expected = expected + picked * encoded.weights.reshaped(6, 2).narrowed(axis: 1, start: table, length: 1)
        }
        #expect((layer(x).reshaped(6, 5) - expected).abs().max().item(Double.self) < 1e-12)
        let tables: Tensor = layer.lookup.tables.detached().cloned()
        try gradientCheck([x, tables]) { inputs in
            let encoded: MemoryCodes = layer.hash.encode(inputs[0])
            let starts: Tensor = Tensor.arange(2, device: .cpu) * 8
            return [
                weightedRowSums(
                    (encoded.codes + starts).reshaped(-1, 2), table: inputs[1], weights: encoded.weights.reshaped(-1, 2))
            ]
        }
        let trained: [Tensor] = gradients(of: [layer(x).sum()], withRespectTo: [layer.lookup.tables, layer.lookup.bias])
        #expect(trained.allSatisfy { $0.abs().sum().item(Double.self) > 0 })
    }

    @Test func flippingASignReadsAnotherRowOfOneTable() {
        let hash: MemoryHash = MemoryHash(12, bits: 4)
        let x: Tensor = Self.awayFromZero([1, 12])
        let flipped: Tensor = x * Tensor((0..<12).map { $0 == 6 ? -1.0 : 1.0 }, [1, 12], device: .cpu)
        let changed: Tensor = hash.encode(x).codes .!= hash.encode(flipped).codes
        #expect(changed.array(Bool.self) == [false, true, false])
    }

    @Test func theCodesWeightVanishesAtZeroAndThePapersIsBounded() {
        let x: Tensor = normal([4, 8])
        let scaled: MemoryHash = MemoryHash(8, bits: 4)
        let weights: [Double] = [1e-1, 1e-4, 1e-8].map { scaled.encode(x * $0).weights.max().item(Double.self) }
        #expect(weights[0] > weights[1] && weights[1] > weights[2] && weights[2] < 1e-7)
        let paper: MemoryHash = MemoryHash(8, bits: 4, weighting: .probability)
        #expect(paper.encode(x * 1e3).weights.max().item(Double.self) <= 1)
        #expect(abs(paper.encode(x * 1e-9).weights.max().item(Double.self) - 1.0 / 16) < 1e-8)
    }

    @Test func oneBitATableIsALinearMap() {
        let w: Tensor = normal([5, 3])
        let layer: MemoryLayer = MemoryLayer(5, 3, bits: 1, weighting: .magnitude)
        layer.to(dtype: .float64)
        // Row 0 of table k stands for a negative channel.
        let tables: Tensor = stacked([-w, w], axis: 1).reshaped(10, 3)
        layer.update(parameters: ["tables": tables, "bias": .zeros([3])])
        let x: Tensor = normal([20, 5], seed: 2)
        #expect((layer(x) - x.matmul(w)).abs().max().item(Double.self) < 1e-12)
    }

    @Test func usageCountsReads() {
        let layer: MemoryLayer = MemoryLayer(4, 3, bits: 2)
        let x: Tensor = Tensor([1, 1, -1, -1, 1, 1, -1, 1], [2, 4], dtype: .float32, device: .cpu)
        _ = layer(x)
        #expect(layer.bucketUsage == nil)
        let found = layer.bucketUsage { _ = (layer(x), layer(x)) }
        #expect(found.count == 1 && found[0].bits == 2)
        #expect(found[0].usage.counts == [[0, 0, 0, 4], [2, 2, 0, 0]])
        #expect(found[0].usage.entropies == [0, 1])
        #expect(found[0].usage.entropy == 0.5)
        _ = layer(x)
        #expect(layer.bucketUsage == found[0].usage)
    }

    @Test func costIsAShareOfTheDenseLayers() {
        let layer: MemoryLayer = MemoryLayer(64, 32, bits: 8)
        #expect(CostModel(of: layer).linearMultiplyAccumulates == 64 * 32 / 8)
        #expect(CostModel(of: layer).parameters == 8 * 256 * 32 + 32)
        #expect(CostModel(of: MemoryHash(64, bits: 8, projects: true)).linearMultiplyAccumulates == 64 * 64)
    }
}
