import Efficiency
import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct MultilevelTests {
    private func model(dimensions: Int = 12, layers: Int = 2, heads: Int = 2, seed: UInt64 = 1, tiedHead: Bool = false) throws
        -> PlainTransformer
    {
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
        let made: PlainTransformer = PlainTransformer(
            try PlainTransformerConfiguration(
                vocabularySize: 11, dimensions: dimensions, layers: layers, heads: heads, maximumContext: 8, tiedHead: tiedHead))
        made.to(dtype: .float64, device: .cpu)
        made.apply { Tensor.normal($0.shape, dtype: .float64, device: .cpu, generator: generator) * 0.3 }
        return made
    }

    private let tokens: Tensor = Tensor([1, 4, 2, 9, 0, 3, 10, 5, 7, 7], [2, 5], dtype: .int64, device: .cpu)

    private func difference(_ left: Module, _ right: Module) -> Double {
        zip(left.namedParameters(), right.namedParameters()).map { one, other in
            one.name == other.name && one.tensor.shape == other.tensor.shape
                ? (one.tensor - other.tensor).abs().max().item(Double.self) : .infinity
        }.max() ?? .infinity
    }

    /// Maps to `members` times the model's widths.
    private func widths(_ small: PlainTransformer, members: Int) throws -> WidthMaps {
        let c: PlainTransformerConfiguration = small.configuration
        return .stack(
            try PlainTransformerConfiguration(
                vocabularySize: 11, dimensions: members * c.dimensions, layers: c.layers, heads: members * c.heads,
                hiddenDimensions: members * c.hiddenDimensions, maximumContext: 8), members: members)
    }

    @Test(arguments: [2, 3]) func widerAndNarrowerAgainIsTheSame(_ members: Int) throws {
        let small: PlainTransformer = try model()
        let maps: WidthMaps = try widths(small, members: members)
        let depth: DepthMap = .adjacent(layers: 2 * members, members: members)
        for (width, layers) in [(maps, nil), (nil, depth), (maps, depth)] as [(WidthMaps?, DepthMap?)] {
            let large: PlainTransformer = try Multilevel.decoalesce(small, width: width, depth: layers)
            #expect(large.configuration.dimensions == (width == nil ? 12 : 12 * members))
            #expect(large.configuration.layers == (layers == nil ? 2 : 2 * members))
            #expect(difference(try Multilevel.coalesce(large, width: width, depth: layers), small) < 1e-12)
        }
    }

    /// The function is kept, but for the norms' epsilon: doubled channels have the mean and variance of single ones.
    @Test(arguments: [2, 3]) func wideningKeepsTheFunction(_ members: Int) throws {
        let small: PlainTransformer = try model()
        let large: PlainTransformer = try Multilevel.decoalesce(small, width: try widths(small, members: members))
        #expect(large.parameterCount > small.parameterCount)
        #expect(noGrad { large(tokens).isClose(to: small(tokens), relative: 0, absolute: 1e-10) })
    }

    /// The embedding is the head: its doubled channels are made up for by the scale of the logits.
    @Test(arguments: [2, 3]) func aTiedHeadKeepsTheFunction(_ members: Int) throws {
        let small: PlainTransformer = try model(tiedHead: true)
        #expect(small.head == nil)
        let maps: WidthMaps = try widths(small, members: members)
        let large: PlainTransformer = try Multilevel.decoalesce(small, width: maps)
        #expect(large.configuration.logitScale == 1 / Double(members) && large.configuration.tiedHead)
        #expect(noGrad { large(tokens).isClose(to: small(tokens), relative: 0, absolute: 1e-10) })
        let again: PlainTransformer = try Multilevel.coalesce(large, width: maps)
        #expect(again.configuration == small.configuration)
        #expect(difference(again, small) < 1e-12)
    }

    @Test func unevenMapsKeepTheFunctionAndComeBack() throws {
        let small: PlainTransformer = try model(dimensions: 4, layers: 1, heads: 2)
        // Widths of the stream doubled with weights of 0.7 and 0.3; what is spread is the same, since each channel has one source.
        let even: CoalescingMap = .stack(dims: 8, headSize: 2)
        let first: Tensor = .eye(4, dtype: .float64, device: .cpu)
        let uneven: CoalescingMap = .custom(concatenated([first * 0.7, first * 0.3], axis: 1))
        let maps: WidthMaps = WidthMaps(embedding: uneven, queryKey: even, value: even, feedForward: .stack(dims: 32))
        let large: PlainTransformer = try Multilevel.decoalesce(small, width: maps)
        #expect(noGrad { large(tokens).isClose(to: small(tokens), relative: 0, absolute: 1e-10) })
        #expect(difference(try Multilevel.coalesce(large, width: maps), small) < 1e-12)
    }

    @Test func mapsSumToOne() {
        for map in [CoalescingMap.stack(dims: 12, headSize: 3), .stack(dims: 12, members: 3), .identity(5)] {
            for rows in [map.average, map.spread] {
                #expect(rows.sum(axis: 1).isClose(to: .ones([rows.dim(0)], dtype: .float64, device: .cpu)))
            }
        }
        // Head 0 of channels 0, 1, 2 goes with head 2 of 6, 7, 8.
        let average: [Double] = CoalescingMap.stack(dims: 12, headSize: 3).average.array()
        #expect(average[0] == 0.5 && average[6] == 0.5 && average[3] == 0)
        #expect(DepthMap.adjacent(layers: 4).groups == [[0, 1], [2, 3]] && DepthMap.stacked(layers: 4).groups == [[0, 2], [1, 3]])
    }

    /// A weight by hand: rows are averaged, columns summed. Averaging both would halve the function.
    @Test func rowsAreAveragedAndColumnsSummed() throws {
        let large: PlainTransformer = try model(dimensions: 4, layers: 1, heads: 2)
        let small: PlainTransformer = try Multilevel.coalesce(large, width: .stack(large.configuration))
        let weight: [[Double]] = (0..<4).map { large.blocks[0].mixer.weights("q_proj").array(Double.self, row: $0, width: 4) }
        let found: [Double] = small.blocks[0].mixer.weights("q_proj").array()
        for i in 0..<2 {
            for j in 0..<2 {
                let wanted: Double = (weight[i][j] + weight[i][j + 2] + weight[i + 2][j] + weight[i + 2][j + 2]) / 2
                #expect(abs(found[i * 2 + j] - wanted) < 1e-14)
            }
        }
        let embedding: [Double] = large.embedding.weight.array(), narrow: [Double] = small.embedding.weight.array()
        #expect(abs(narrow[0] - (embedding[0] + embedding[2]) / 2) < 1e-14)
    }

    @Test func layersAreMeansAndCopies() throws {
        let deep: PlainTransformer = try model(layers: 4)
        let shallow: PlainTransformer = try Multilevel.coalesce(deep, depth: .stacked(layers: 4))
        func gain(_ model: PlainTransformer, _ layer: Int) -> Tensor { model.blocks[layer].attentionNorm.weight! }
        #expect(gain(shallow, 1).isClose(to: (gain(deep, 1) + gain(deep, 3)) / 2, relative: 0, absolute: 1e-14))
        let again: PlainTransformer = try Multilevel.decoalesce(shallow, depth: .stacked(layers: 4))
        for layer in 0..<4 { #expect(gain(again, layer).isEqual(to: gain(shallow, layer % 2))) }
    }

    @Test func interpolationHasItsEnds() throws {
        let update: PlainTransformer = try model(seed: 2), start: PlainTransformer = try model()
        for (alpha, wanted) in [(0.0, start), (1, update)] {
            let base: PlainTransformer = try model()
            Multilevel.interpolate(base: base, update: update, alpha: alpha)
            #expect(difference(base, wanted) == 0)
        }
        let base: PlainTransformer = try model()
        Multilevel.interpolate(base: base, update: update, alpha: 0.25)
        let wanted: Tensor = try model().embedding.weight * 0.75 + update.embedding.weight * 0.25
        #expect(base.embedding.weight.isClose(to: wanted, relative: 0, absolute: 1e-14))
    }

    /// Doubled channels have equal gradients until interpolation parts them.
    @Test func doubledChannelsMoveAlikeUntilInterpolated() throws {
        let small: PlainTransformer = try model()
        let wide: PlainTransformer = try Multilevel.decoalesce(small, width: try widths(small, members: 2))
        #expect(asymmetry(wide) < 1e-12)
        let other: PlainTransformer = try model(dimensions: 24, heads: 4, seed: 5)
        Multilevel.interpolate(base: wide, update: other, alpha: 0.5)
        #expect(asymmetry(wide) > 1e-6)
    }

    /// Largest difference of the embeddings' gradients between a channel and its double.
    private func asymmetry(_ model: PlainTransformer) -> Double {
        for parameter in model.parameters() { parameter.requiringGrad() }
        let gradient: Tensor = valueAndGrad(of: [model.embedding.weight]) { model(tokens).square().mean() }.gradients[0]
        let half: Int = gradient.dim(1) / 2
        let left: Tensor = gradient.narrowed(axis: 1, start: 0, length: half)
        return (left - gradient.narrowed(axis: 1, start: half, length: half)).abs().max().item()
    }

    @Test func aCycleGoesDownAndUp() throws {
        let large: PlainTransformer = try model(dimensions: 16, layers: 4, heads: 4)
        let before: Tensor = large.embedding.weight.detached().cloned()
        let first: VCycle.Descent = VCycle.Descent(width: .stack(large.configuration), depth: .adjacent(layers: 4))
        let middle: PlainTransformer = try Multilevel.coalesce(large, width: first.width, depth: first.depth)
        let second: VCycle.Descent = VCycle.Descent(width: .stack(middle.configuration), depth: .adjacent(layers: 2))
        let cycle: VCycle = VCycle(
            levels: [first, second], steps: VCycle.Steps(initial: 3, smallest: 5, refinement: 2, final: 7), alpha: 0.25, rates: [1, 2, 4])
        var seen: [String] = []
        try cycle.train(large) { model, phase in
            seen.append("\(phase.kind.rawValue) \(phase.level) \(phase.steps) \(phase.learningRate) \(model.configuration.dimensions)")
            // What the smallest model learns: everything is one.
            if phase.kind == .smallest { model.apply { $0.onesLike() } }
        }
        #expect(
            seen == ["initial 1 3 1.0 16", "initial 2 3 2.0 8", "smallest 3 5 4.0 4", "refinement 2 2 2.0 8", "final 1 7 1.0 16"])
        // A quarter of the middle model came through, a quarter of which were the ones.
        let down: Tensor = before.matmul(first.width!.embedding.average.transposed()).matmul(first.width!.embedding.spread.transposed())
        let wanted: Tensor = before * 0.75 + (down * 0.75 + 0.25) * 0.25
        #expect(large.embedding.weight.isClose(to: wanted, relative: 0, absolute: 1e-12))
    }

    @Test func operationsAreCountedByHand() throws {
        let model: PlainTransformer = try model(dimensions: 12, layers: 2, heads: 2)
        var course: FLOPsToTarget = FLOPsToTarget()
        course.count(model, tokens: 10, context: 5, steps: 3)
        let perToken: Int = 2 * (4 * 12 * 12 + 2 * 12 * 48) + 12 * 11
        // Five tokens make 15 pairs in each of two layers, each of 12 products for its score and 12 for its sum.
        #expect(course.flops == 3 * 6 * Double(10 * perToken + 2 * 2 * 15 * 24))
        course.record(loss: 3)
        course.count(model, tokens: 10, context: 5)
        course.record(loss: 2)
        #expect(course.flops(toReach: 1) == nil && course.flops(toReach: 3.5) == course.flops * 0.75)
        #expect(abs((course.flops(toReach: 2.5) ?? 0) / course.flops - 0.875) < 1e-12)
    }
}

extension Module {
    fileprivate func weights(_ name: String) -> Tensor { namedParameters().first { $0.name.contains(name) }!.tensor.detached() }
}

extension Tensor {
    fileprivate func array(_ type: Double.Type, row: Int, width: Int) -> [Double] {
        Array(array(Double.self)[row * width..<(row + 1) * width])
    }
}
