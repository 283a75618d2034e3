import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite("L-GreCo", .ownRandomNumbers)
struct LGreCoTests {
    private static func gradient(_ shape: [Int], seed: UInt64, scale: Double = 1) -> Tensor {
        Tensor.normal(shape, standardDeviation: scale, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private static func difference(_ left: Tensor, _ right: Tensor) -> Double { (left - right).abs().max().item(Double.self) }

    private static func makers() -> [(name: String, reference: Double, make: @Sendable (Int) -> any GradientCompressor)] {
        [
            ("quantisation", 4, { QuantizationCompressor(bucket: 128, seed: UInt64($0)) }), ("top-k", 0.05, { _ in TopKCompressor() }),
            ("low rank", 2, { _ in PowerSGDCompressor(seed: 5) }),
        ]
    }

    // MARK: The solver

    /// The smallest total of sizes whose errors are within the budget, by looking at all choices.
    private static func exhaustive(_ errors: [[Double]], _ sizes: [[Int]], budget: Double) -> Int? {
        var best: Int?
        func look(_ layer: Int, _ error: Double, _ size: Int) {
            if error > budget { return }
            if layer == errors.count {
                best = min(best ?? .max, size)
                return
            }
            for candidate in errors[layer].indices { look(layer + 1, error + errors[layer][candidate], size + sizes[layer][candidate]) }
        }
        look(0, 0, 0)
        return best
    }

    @Test("the solver finds the optimum of an exhaustive search", arguments: 0..<20)
    func optimum(seed: Int) throws {
        var generator: SeededGenerator = SeededGenerator(seed: UInt64(seed))
        // Whole errors and a bin for each unit of the budget, so that the solver's grid changes nothing.
        let errors: [[Double]] = (0..<5).map { _ in (0..<4).map { _ in Double(Int.random(in: 1...400, using: &generator)) } }
        let sizes: [[Int]] = (0..<5).map { _ in (0..<4).map { _ in Int.random(in: 1...50, using: &generator) } }
        let budget: Int = Int.random(in: 300...1500, using: &generator)
        let found: [Int]? = LayerBudgetSolver.solve(errors: errors, sizes: sizes, budget: Double(budget), bins: budget)
        let best: Int? = Self.exhaustive(errors, sizes, budget: Double(budget))
        #expect((found == nil) == (best == nil))
        guard let found, let best else { return }
        #expect(zip(sizes, found).reduce(0) { $0 + $1.0[$1.1] } == best)
        #expect(zip(errors, found).reduce(0) { $0 + $1.0[$1.1] } <= Double(budget))
    }

    @Test("rounding up never exceeds the budget, and a larger budget never gives more bytes")
    func monotone() throws {
        var generator: SeededGenerator = SeededGenerator(seed: 3)
        let errors: [[Double]] = (0..<8).map { _ in (0..<5).map { _ in Double.random(in: 0...1, using: &generator) } }
        let sizes: [[Int]] = (0..<8).map { _ in (0..<5).map { _ in Int.random(in: 1...90, using: &generator) } }
        var last: Int = .max
        for budget in [1.0, 1.5, 2, 3, 5, 9] {
            guard let found = LayerBudgetSolver.solve(errors: errors, sizes: sizes, budget: budget, bins: 500) else { continue }
            let size: Int = zip(sizes, found).reduce(0) { $0 + $1.0[$1.1] }
            #expect(zip(errors, found).reduce(0) { $0 + $1.0[$1.1] } <= budget)
            #expect(size <= last)
            last = size
        }
        #expect(last == sizes.reduce(0) { $0 + $1.min()! })
        #expect(LayerBudgetSolver.solve(errors: [[2]], sizes: [[1]], budget: 1) == nil)
        #expect(LayerBudgetSolver.solve(errors: [[0]], sizes: [[1]], budget: 0) == nil)
    }

    // MARK: Compressors

    @Test("errors fall and sizes rise with the rank, the bits and the density; the reference is a candidate")
    func tables() {
        for (name, reference, make) in Self.makers() {
            let compressor: any GradientCompressor = make(0)
            for shape in [[40, 30], [16, 8, 3, 3]] {
                let candidates: [Int] = compressor.candidates(shape, reference: reference)
                #expect(
                    candidates == candidates.sorted() && candidates.contains(compressor.parameter(shape, reference: reference)), "\(name)")
                let errors: [Double] = compressor.errorTable(Self.gradient(shape, seed: 1), candidates)
                #expect(zip(errors, errors.dropFirst()).allSatisfy { $0 >= $1 - 1e-12 }, "\(name): \(errors)")
                let sizes: [Int] = candidates.map { compressor.size(shape, $0) }
                #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0 < $1 }, "\(name): \(sizes)")
            }
        }
    }

    @Test("the table's errors are those of the messages")
    func errorsOfMessages() throws {
        let gradient: Tensor = Self.gradient([24, 50], seed: 2)
        func norm(_ approximation: Tensor) -> Double { (gradient - approximation).asType(.float64).norm().item(Double.self) }

        let sparse: TopKCompressor = TopKCompressor()
        let kept: Tensor = sparse.decompress([sparse.compress(gradient, count: 60)], shape: [24, 50], count: 60)
        #expect(abs(norm(kept) - sparse.errorTable(gradient, [60])[0]) < 1e-5)
        #expect(kept.countNonzero().item(Int64.self) == 60)

        let quantizer: QuantizationCompressor = QuantizationCompressor(bucket: 128, seed: 1)
        for bits in [2, 4, 6] {
            let expected: Double = quantizer.errorTable(gradient, [bits])[0]
            let squares: Double = (0..<20).reduce(0) { sum, _ in
                let error: Double = norm(quantizer.decompress(quantizer.compress(gradient, bits: bits), shape: [24, 50], bits: bits))
                return sum + error * error / 20
            }
            #expect(abs(squares.squareRoot() / expected - 1) < 0.05)
        }
        // The best approximation of a rank: after many iterations on one gradient the warm start reaches it.
        let lowRank: PowerSGDCompressor = PowerSGDCompressor(seed: 1)
        var output: Tensor = gradient
        for _ in 0..<200 { output = try lowRank.exchange([gradient], [3], over: .single).means[0] }
        #expect(abs(norm(output) - lowRank.errorTable(gradient, [3])[0]) < 1e-3)
    }

    @Test("codes of any number of bits come back as they were", arguments: 1...8, [8, 13, 1000])
    func packing(bits: Int, count: Int) {
        var generator: SeededGenerator = SeededGenerator(seed: UInt64(bits))
        let codes: [Int64] = (0..<count).map { _ in Int64.random(in: 0..<(1 << Int64(bits)), using: &generator) }
        let packed: Tensor = QuantizationCompressor.pack(Tensor(codes, device: .cpu), bits: bits)
        #expect(packed.byteCount == (count + 7) / 8 * 8 * bits / 8)
        #expect(QuantizationCompressor.unpack(packed, count: count, bits: bits).asType(.int64).array(Int64.self) == codes)
    }

    @Test("messages have the bytes that size says, whatever divides")
    func sizes() {
        let quantizer: QuantizationCompressor = QuantizationCompressor(bucket: 64, seed: 1)
        for shape in [[7, 9], [16, 8], [3, 3, 3]] {
            for bits in 2...8 {
                let gradient: Tensor = Self.gradient(shape, seed: 4)
                let message: Tensor = quantizer.compress(gradient, bits: bits)
                #expect(message.byteCount == quantizer.size(shape, bits))
                #expect(quantizer.decompress(message, shape: shape, bits: bits).shape == shape)
            }
        }
        #expect(TopKCompressor().compress(Self.gradient([9, 9], seed: 1), count: 5).byteCount == TopKCompressor().size([9, 9], 5))
    }

    @Test("random rounding is unbiased, within four standard errors")
    func unbiased() {
        let quantizer: QuantizationCompressor = QuantizationCompressor(bucket: 16, seed: 9)
        let gradient: Tensor = Self.gradient([4, 8], seed: 6)
        let draws: [Tensor] = (0..<400).map { _ in quantizer.decompress(quantizer.compress(gradient, bits: 2), shape: [4, 8], bits: 2) }
        let all: Tensor = stacked(draws)
        let error: Tensor = (all.mean(axis: 0) - gradient).abs()
        let deviation: Tensor = all.standardDeviation(axes: [0]) / 20
        #expect((error - deviation * 4).max().item(Double.self) <= 1e-6)
    }

    @Test("extreme buckets: constant, zero, and tiny values")
    func extremes() {
        let quantizer: QuantizationCompressor = QuantizationCompressor(bucket: 8, seed: 1)
        for gradient in [
            Tensor.full([2, 8], 0.3, device: .cpu), Tensor.zeros([2, 8], device: .cpu), Self.gradient([2, 8], seed: 1, scale: 1e-20),
        ] {
            let back: Tensor = quantizer.decompress(quantizer.compress(gradient, bits: 8), shape: [2, 8], bits: 8)
            let range: Double = gradient.abs().max().item(Double.self)
            #expect(Self.difference(back, gradient) <= 0.02 * range)
        }
    }

    @Test("at full rank PowerSGD gives the mean gradient", arguments: [[6, 20], [20, 6], [4, 2, 3, 3]])
    func fullRank(shape: [Int]) throws {
        let (rows, columns): (Int, Int) = PowerSGDCompressor.matrix(shape)
        let differences: [Double] = try ProcessGroup.onThreads(3) { group in
            let own: Tensor = Self.gradient(shape, seed: UInt64(group.rank))
            let compressor: PowerSGDCompressor = PowerSGDCompressor(seed: 2)
            let mean: Tensor = try compressor.exchange([own], [min(rows, columns)], over: group).means[0]
            let gathered: [Tensor] = try group.allGather(own)
            return Self.difference(mean, (gathered[0] + gathered[1] + gathered[2]) / 3)
        }
        #expect(differences.allSatisfy { $0 <= 1e-5 })
    }

    @Test("a change of rank keeps the columns that there are")
    func rankChange() throws {
        let gradient: Tensor = Self.gradient([30, 40], seed: 3)
        let compressor: PowerSGDCompressor = PowerSGDCompressor(seed: 2)
        func error(_ rank: Int) throws -> Double {
            Self.difference(try compressor.exchange([gradient], [rank], over: .single).means[0], gradient)
        }
        _ = try error(4)
        let narrow: Tensor = try compressor.exchange([gradient], [2], over: .single).means[0]
        #expect(narrow.matrixRank().item(Int64.self) == 2)
        let wide: Tensor = try compressor.exchange([gradient], [6], over: .single).means[0]
        #expect(wide.matrixRank().item(Int64.self) == 6)
    }

    // MARK: The exchange

    @Test("what was sent and the residual are together what was given; ranks agree on every bit; bytes are the formula's")
    func errorFeedback() throws {
        for (name, reference, make) in Self.makers() {
            let outcomes: [[Float]] = try ProcessGroup.onThreads(3) { group in
                let exchange: LGreCo = LGreCo(compressor: make(group.rank), reference: reference, frequency: 4, startIteration: 2)
                let shapes: [[Int]] = [[40, 30], [30], [24, 48], [6, 4, 3, 3]]
                var (given, sent): ([Tensor], [Tensor]) = (
                    shapes.map { Tensor.zeros($0, device: .cpu) }, shapes.map { Tensor.zeros($0, device: .cpu) }
                )
                for step in 0..<9 {
                    let own: [Tensor] = shapes.enumerated().map { Self.gradient($1, seed: UInt64(100 * step + 10 * $0 + group.rank)) }
                    for index in shapes.indices {
                        let sum: Tensor = own[index].cloned()
                        try group.allReduce(sum)
                        given[index] = given[index] + sum / 3
                    }
                    let means: [Tensor] = try exchange.average(own, over: group)
                    for index in shapes.indices { sent[index] = sent[index] + means[index] }
                }
                let layers: [Int] = shapes.indices.filter { make(0).compresses(shapes[$0], reference: reference) }
                #expect(layers.count >= 2 && exchange.pendingResiduals.count == layers.count)
                for (layer, residual) in zip(layers, exchange.pendingResiduals) {
                    let rest: Tensor = residual.cloned()
                    try group.allReduce(rest)
                    #expect(Self.difference(sent[layer] + rest / 3, given[layer]) <= 1e-4, "\(name), layer \(layer)")
                }
                #expect(Self.difference(sent[1], given[1]) <= 1e-5, "a vector goes uncompressed")
                #expect(exchange.adjustments.map(\.step) == [2, 6])
                for adjustment in exchange.adjustments where group.rank == 0 {
                    #expect(adjustment.error <= adjustment.referenceError * (1 + 1e-9) && adjustment.size <= adjustment.referenceSize)
                }
                return sent.flatMap { $0.array(Float.self) } + exchange.adjustments.flatMap { $0.parameters.map(Float.init) }
            }
            #expect(outcomes[1] == outcomes[0] && outcomes[2] == outcomes[0], "\(name)")
        }
    }

    @Test("the counter has the bytes of the formula")
    func bytes() throws {
        for (name, reference, make) in Self.makers() {
            let counted: [[Double]] = try ProcessGroup.onThreads(4) { group in
                let exchange: LGreCo = LGreCo(compressor: make(group.rank), reference: reference, startIteration: 0, layerwise: false)
                let own: [Tensor] = [Self.gradient([40, 30], seed: 1), Self.gradient([50], seed: 2)]
                _ = try exchange.average(own, over: group)
                group.resetStats()
                _ = try exchange.average(own, over: group)
                let size: Int = exchange.adjustments[0].size
                let message: Double = name == "low rank" ? 2 * Double(size) * 0.75 : 3 * Double(size)
                return [group.stats.bytes, message + 2 * 200 * 0.75]
            }
            #expect(counted.allSatisfy { $0[0] == $0[1] }, "\(name): \(counted)")
        }
    }

    @Test("one process is left alone, and layers that are alike keep the reference")
    func single() throws {
        let exchange: LGreCo = LGreCo(compressor: TopKCompressor(), reference: 0.1, startIteration: 0)
        let own: [Tensor] = [Self.gradient([5, 5], seed: 1)]
        #expect(try exchange.average(own, over: .single)[0] === own[0])
        #expect(exchange.adjustments.isEmpty)
    }

    @Test("unequal layers get unequal settings, with fewer bytes")
    func unequalLayers() throws {
        let gains: [Double] = try ProcessGroup.onThreads(2) { group in
            let exchange: LGreCo = LGreCo(compressor: TopKCompressor(), reference: 0.05, startIteration: 0)
            let own: [Tensor] = [Self.gradient([100, 100], seed: 1, scale: 0.01), Self.gradient([20, 20], seed: 2, scale: 10)]
            _ = try exchange.average(own, over: group)
            let choice: LGreCo.Adjustment = exchange.adjustments[0]
            #expect(choice.parameters[0] < 500 && choice.parameters[1] > 20)
            return Double(choice.referenceSize) / Double(choice.size)
        }
        #expect(gains.allSatisfy { $0 > 1.15 })
    }

    @Test("Accordion compresses gently while the norm changes much, and strongly where it does not")
    func accordion() {
        var accordion: Accordion = Accordion(strong: 1, gentle: 4)
        #expect([10, 4, 3.5, 3, 6, 6].map { accordion.update(norm: $0) } == [4, 4, 1, 1, 4, 1])
    }
}
