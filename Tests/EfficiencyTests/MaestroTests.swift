import NN
import Optim
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

private final class SmallConvolutional: Module, UnaryLayer {
    @ModuleInfo var convolution: any UnaryLayer
    @ModuleInfo var norm: BatchNorm
    @ModuleInfo var hidden: any UnaryLayer
    @ModuleInfo var head: any UnaryLayer

    init(seed: UInt64 = 0) {
        super.init()
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        convolution = Conv2d(2, 6, kernelSize: 3, stride: 2, padding: 1, generator: generator)
        norm = BatchNorm(6)
        hidden = Linear(6 * 4 * 4, 12, generator: generator)
        head = Linear(12, 3, generator: generator)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { head(hidden(norm(convolution(x)).relu().flattened(from: 1)).relu()) }
}

@Suite(.ownRandomNumbers) struct MaestroTests {
    private let generator: RandomGenerator = RandomGenerator(seed: 4)
    private let images: Tensor = .normal([5, 2, 8, 8], generator: RandomGenerator(seed: 6))

    /// Decomposed, with factors whose components are of different importance.
    private func decomposed() -> SmallConvolutional {
        let model: SmallConvolutional = SmallConvolutional()
        Maestro.decompose(model)
        return model
    }

    // MARK: Layers

    @Test func fullWidthIsTheDenseLayer() {
        let linear: Linear = Linear(7, 5, generator: generator)
        let x: Tensor = .normal([3, 7], generator: generator)
        #expect(MaestroLinear(linear)(x).isClose(to: linear(x), relative: 0, absolute: 1e-5))
        let convolution: Conv2d = Conv2d(
            2, 4, kernelSize: Pair(3, 2), stride: Pair(2, 1), padding: 1, dilation: Pair(1, 2), generator: generator)
        #expect(MaestroConv2d(convolution)(images).isClose(to: convolution(images), relative: 0, absolute: 1e-5))
        let (dense, factors): (SmallConvolutional, SmallConvolutional) = (SmallConvolutional(), decomposed())
        #expect(Maestro.layers(of: factors).map(\.path) == ["convolution", "hidden", "head"])
        #expect(factors(images).isClose(to: dense(images), relative: 0, absolute: 1e-5))
    }

    @Test func aWidthIsThePrefixOfTheFactors() {
        let layer: MaestroLinear = MaestroLinear(7, 5, generator: generator)
        let x: Tensor = .normal([3, 7], generator: generator)
        for width in 0...5 {
            layer.width = width
            let weight: Tensor = layer.left[0..., 0..<width].matmul(layer.right[0..<width])
            #expect(layer(x).isClose(to: linear(x, weight: weight, bias: layer.bias), relative: 0, absolute: 1e-6))
            #expect(layer.denseWeight().isClose(to: weight, relative: 0, absolute: 1e-7))
        }
        let convolution: MaestroConv2d = MaestroConv2d(2, 4, kernelSize: 3, padding: 1, generator: generator)
        for width in 0...4 {
            convolution.width = width
            let weight: Tensor = convolution.left[0..., 0..<width].matmul(convolution.right[0..<width]).reshaped(4, 2, 3, 3)
            let expected: Tensor = images.conv2d(weight: weight, bias: convolution.bias, padding: 1)
            #expect(convolution(images).isClose(to: expected, relative: 0, absolute: 1e-5))
        }
    }

    @Test func componentsBeyondTheWidthHaveNoGradient() {
        let model: SmallConvolutional = decomposed()
        let layers: [(path: String, layer: MaestroLayer)] = Maestro.layers(of: model)
        for (path, layer) in layers {
            let found: [Tensor] = valueAndGrad(of: [layer.left, layer.right]) {
                model(images, width: OrderedWidth([path: 2])).square().sum()
            }.gradients
            #expect(found[0][0..., 2...].abs().max().item(Double.self) == 0 && found[1][2...].abs().max().item(Double.self) == 0)
            #expect(found[0][0..., 1].abs().max().item(Double.self) > 0)
            #expect(layers.allSatisfy { $0.layer.width == nil })
        }
    }

    @Test func theFactorsOfAConvolutionHaveTheGradientOfTheirProduct() throws {
        let layer: MaestroConv2d = MaestroConv2d(1, 3, kernelSize: 2, generator: generator)
        let x: Tensor = .normal([2, 1, 4, 4], dtype: .float64, generator: generator)
        let leaves: [Tensor] = [layer.left, layer.right].map { $0.detached().asType(.float64) }
        try gradientCheck(leaves) { [layer.geometry.convolve(x, left: $0[0], right: $0[1], bias: nil)] }
    }

    // MARK: Lasso and importance

    @Test func theLassoIsTheSumOfAllTails() throws {
        let layers: [MaestroLinear] = [MaestroLinear(6, 4, generator: generator), MaestroLinear(3, 5, generator: generator)]
        let model: Sequential = Sequential(layers[0], layers[1]).to(dtype: .float64)
        layers[1].activeRank = 2
        var expected: Double = 0
        for layer in layers {
            let (left, right): ([[Double]], [[Double]]) = (rows(layer.left.mT), rows(layer.right))
            for start in 0..<layer.activeRank {
                for factor in [left, right] {
                    var sum: Double = 0
                    for component in start..<layer.activeRank { for value in factor[component] { sum += value * value } }
                    expected += sum.squareRoot()
                }
            }
        }
        #expect(abs(Maestro.hierarchicalGroupLasso(model).item(Double.self) - expected) < 1e-10)
        try gradientCheck([layers[0].left.detached()]) { leaves in
            layers[0].left = leaves[0] + 0
            return [Maestro.hierarchicalGroupLasso(model)]
        }
    }

    private func rows(_ matrix: Tensor) -> [[Double]] { matrix.unbound().map { $0.array() } }

    @Test func aVanishedComponentHasAGradientThatIsANumber() {
        let layer: MaestroLinear = MaestroLinear(4, 4, generator: generator)
        noGrad {
            layer.left[0..., 2...].fill_(0)
            layer.right[2...].fill_(0)
        }
        let found: [Tensor] = valueAndGrad(of: layer) { Maestro.hierarchicalGroupLasso(layer) }.gradients
        #expect(found.allSatisfy { $0.isFinite().all().item(Bool.self) })
    }

    @Test func importanceFallsAndShrinkingKeepsThePrefix() {
        let model: SmallConvolutional = decomposed()
        for (_, layer) in Maestro.layers(of: model) {
            let importance: [Double] = layer.importance
            #expect(importance.count == layer.fullRank && zip(importance, importance.dropFirst()).allSatisfy { $0 >= $1 })
        }
        let hidden: MaestroLinear = model.hidden as! MaestroLinear
        noGrad { hidden.right[5...].multiply_(1e-4) }
        let ranks: [String: Int] = Maestro.shrink(model, threshold: .relative(1e-3))
        #expect(ranks == ["convolution": 6, "hidden": 5, "head": 3])
        #expect(hidden.importance.count == 5)
        let between: Double = hidden.importance[3] * 0.999
        #expect(Maestro.shrink(hidden, threshold: .absolute(between)) == ["": 4])
        #expect(Maestro.shrink(hidden, threshold: .absolute(1e9)) == ["": 0])
        #expect(model(images).isClose(to: model.head(hidden.bias!.expanded(to: [5, 12]).relu()), relative: 1e-5))
    }

    // MARK: Sampling

    @Test func aSweepVisitsEveryPairOnce() {
        let model: SmallConvolutional = decomposed()
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: model, seed: 3)
        #expect(sampler.sweepLength == 6 + 12 + 3)
        var orders: [[String]] = []
        for _ in 0..<2 {
            let drawn: [OrderedWidth] = (0..<sampler.sweepLength).map { _ in sampler.next() }
            #expect(drawn.allSatisfy { $0.widths.count == 1 })
            let pairs: [String] = drawn.flatMap { $0.widths.map { "\($0.key) \($0.value)" } }
            let wanted: [String] = [("convolution", 6), ("hidden", 12), ("head", 3)].flatMap { name, rank in
                (1...rank).map { "\(name) \($0)" }
            }
            #expect(pairs.sorted() == wanted.sorted())
            orders.append(pairs)
        }
        #expect(orders[0] != orders[1])
        var again: OrderedDropoutSampler = OrderedDropoutSampler(for: model, seed: 3)
        #expect(again.next().widths.map { "\($0.key) \($0.value)" } == [orders[0][0]])
        Maestro.layers(of: model)[1].layer.activeRank = 0
        Maestro.layers(of: model)[0].layer.activeRank = 2
        #expect(OrderedDropoutSampler(for: model, seed: 3).sweepLength == 2 + 3)
    }

    @Test func otherSamplers() {
        let model: SmallConvolutional = decomposed()
        var independent: OrderedDropoutSampler = OrderedDropoutSampler(.independent, for: model, seed: 3)
        let drawn: [OrderedWidth] = (0..<200).map { _ in independent.next() }
        #expect(drawn.allSatisfy { $0.widths.count == 3 })
        #expect(Set(drawn.compactMap { $0.widths["hidden"] }) == Set(1...12))
        var fixed: OrderedDropoutSampler = OrderedDropoutSampler(.pufferfish(share: 0.25), for: model, seed: 3)
        #expect(fixed.next().widths == ["convolution": 2, "hidden": 3, "head": 1] && fixed.next() == fixed.next())
        #expect(OrderedWidth(share: 0.25, of: model).widths == ["convolution": 2, "hidden": 3, "head": 1])
    }

    // MARK: Objective

    @Test func theTeacherOfTheNarrowPassIsNotTrainedByIt() throws {
        let layer: MaestroLinear = MaestroLinear(4, 3, bias: false, generator: generator)
        let model: Sequential = Sequential(layer).to(dtype: .float64)
        let x: Tensor = .normal([6, 4], dtype: .float64, generator: generator)
        let targets: Tensor = Tensor([0, 1, 2, 0, 1, 2], [6], dtype: .int64)
        let width: OrderedWidth = OrderedWidth(["0": 1])
        let full: Tensor = noGrad { model(x) }
        func narrow() -> Tensor { model(x, width: width) }
        let expected: Tensor =
            crossEntropy(full, targets) - (full.softmax() * noGrad { narrow() }.logSoftmax()).sum(axis: -1).mean()
            + Maestro.hierarchicalGroupLasso(model) * 0.01
        let objective: MaestroObjective = try MaestroObjective(lassoWeight: 0.01)
        let (value, found): (Tensor, [Tensor]) = valueAndGrad(of: model) { objective(model, width: width, targets: targets) { model(x) } }
        #expect(value.isClose(to: expected, relative: 1e-10))
        let separate: [Tensor] = valueAndGrad(of: model) {
            crossEntropy(model(x), targets) + crossEntropy(narrow(), full.softmax()) + Maestro.hierarchicalGroupLasso(model) * 0.01
        }.gradients
        #expect(zip(found, separate).allSatisfy { $0.isClose(to: $1, relative: 1e-10, absolute: 1e-12) })
        let single: MaestroObjective = try MaestroObjective(lassoWeight: 0, hasFullPass: false)
        #expect(single(model, width: width, targets: targets) { model(x) }.isClose(to: crossEntropy(narrow(), targets)))
        #expect(throws: ConfigurationError.self) { try MaestroObjective(lassoWeight: -1) }
        #expect(throws: ConfigurationError.self) { try MaestroObjective(lassoWeight: .nan) }
    }

    /// The theory is for inputs that are spread alike in all directions; with a covariance Σ the components are those of the map times √Σ.
    @Test func orderedDropoutFindsTheDecompositionUnderTheCovariance() throws {
        let map: Tensor = Tensor.normal([4, 2], generator: generator).matmul(.normal([2, 5], generator: generator))
        let root: Tensor = Tensor.linspace(0.5, 1.5, count: 5).diagonalEmbedded()
        let layer: MaestroLinear = MaestroLinear(5, 4, bias: false, generator: generator)
        let optimizer: SGD = try SGD(parameters: layer.trainableParameters(), configuration: SGDConfiguration(learningRate: 0.3))
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: layer, seed: 1)
        let targets: Tensor = root.matmul(map.mT)
        for _ in 0..<2000 {
            let width: OrderedWidth = sampler.next()
            optimizer.step(valueAndGrad(of: layer) { meanSquaredError(layer(root, width: width), targets) }.gradients)
        }
        func error(_ root: Tensor) -> Double {
            let weighted: Tensor = map.matmul(root)
            let (u, s, vh): (Tensor, Tensor, Tensor) = weighted.svd()
            let best: Tensor = (u[0..., ..<1] * s[..<1]).matmul(vh[..<1])
            let first: Tensor = layer.left[0..., ..<1].matmul(layer.right[..<1]).matmul(root)
            return ((first - best).square().sum() / weighted.square().sum()).item()
        }
        noGrad {
            #expect(error(root) < 1e-3)
            #expect(error(.eye(5)) > 10 * error(root))
        }
    }

    // MARK: Smaller models

    @Test func aPrunedModelIsTheMaskedOne() {
        let model: SmallConvolutional = decomposed()
        model.train(false)
        for (layer, rank) in zip(Maestro.layers(of: model).map(\.layer), [2, 3, 3]) { layer.activeRank = rank }
        let masked: Tensor = model(images)
        Maestro.prune(model)
        #expect(model.convolution is LowRankConv2d && model.hidden is LowRankLinear)
        // Rank 3 of a 3 × 12 matrix costs more than the matrix.
        #expect(model.head is Linear)
        #expect(model(images).isClose(to: masked, relative: 0, absolute: 1e-6))
    }

    @Test func extractedModelsKeepTheBudgetAndAreNested() {
        let model: SmallConvolutional = decomposed()
        model.train(false)
        let whole: Tensor = model(images)
        let most: Int = Maestro.multiplyAccumulates(model)
        #expect(most == 16 * 6 * 18 + 96 * 12 + 12 * 3)
        var last: [String: Int] = [:]
        for budget in [0, 100, 500, 1000, 2000, most] {
            let ranks: [String: Int] = Maestro.ranks(model, macBudget: budget)
            #expect(Maestro.multiplyAccumulates(model, ranks: ranks) <= budget)
            #expect(last.allSatisfy { path, rank in rank <= ranks[path]! })
            last = ranks
            let small: SmallConvolutional = Maestro.extract(model, macBudget: budget, into: SmallConvolutional(seed: 9))
            for (path, layer) in Maestro.layers(of: model) { layer.width = ranks[path] }
            let masked: Tensor = model(images)
            for (_, layer) in Maestro.layers(of: model) { layer.width = nil }
            #expect(small(images).isClose(to: masked, relative: 0, absolute: 1e-6))
        }
        #expect(last == ["convolution": 6, "hidden": 12, "head": 3])
        #expect(model(images).isEqual(to: whole))
    }

    @Test func theLeastImportantComponentGoesFirst() {
        let (first, second): (MaestroLinear, MaestroLinear) = (
            MaestroLinear(8, 8, generator: generator), MaestroLinear(8, 8, generator: generator)
        )
        let model: Sequential = Sequential(first, second)
        noGrad {
            for (layer, sizes) in [(first, [8.0, 7, 2, 1]), (second, [6.0, 5, 4, 3])] {
                layer.left.copy_(from: Tensor.eye(8))
                layer.right.copy_(from: Tensor.eye(8))
                for (component, size) in sizes.enumerated() { layer.right[component].multiply_(size) }
                layer.activeRank = 4
            }
        }
        // Tails of the first layer weigh 21.7, 12.7, 3.2, 1, of the second 18.5, 12.2, 7.1, 3; a component costs 16.
        #expect(Maestro.ranks(model, macBudget: 96) == ["0": 3, "1": 3])
        #expect(Maestro.ranks(model, macBudget: 80) == ["0": 2, "1": 3])
        #expect(Maestro.ranks(model, macBudget: 48) == ["0": 2, "1": 1])
        #expect(Maestro.ranks(model, macBudget: 31) == ["0": 1, "1": 0])
    }

    @Test func recalibratedStatisticsAreThoseOfTheBatches() {
        let norm: BatchNorm = BatchNorm(3)
        let model: Sequential = Sequential(norm, Dropout(0.5)).train(false)
        let batches: [Tensor] = (0..<3).map { _ in .normal([20, 3], mean: 2, standardDeviation: 3, generator: generator) }
        Maestro.recalibrate(model, on: batches.map { batch in { _ = model(batch) } })
        let mean: Tensor = stacked(batches.map { $0.mean(axis: 0) }).mean(axis: 0)
        let variance: Tensor = stacked(batches.map { $0.variance(axes: [0], correction: 1) }).mean(axis: 0)
        #expect(norm.runningMean!.isClose(to: mean, relative: 1e-4))
        #expect(norm.runningVariance!.isClose(to: variance, relative: 1e-4))
        #expect(!norm.isTraining)
    }

    @Test func transformersAreDecomposedInTheirBlocks() throws {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: 11, dimensions: 8, layers: 2, heads: 2, maximumContext: 16)
        let model: PlainTransformer = PlainTransformer(configuration, generator: RandomGenerator(seed: 0, device: .cpu))
        let tokens: Tensor = Tensor([1, 4, 2, 9, 0, 3], [1, 6], dtype: .int64)
        let before: Tensor = model(tokens)
        Maestro.decompose(model, skipFirst: true, skipLast: true)
        #expect(Maestro.layers(of: model).count == 10)
        #expect(model(tokens).isClose(to: before, relative: 1e-4, absolute: 1e-5))
        let names: [String] = model.stateTensors().map(\.0).filter { $0.hasPrefix("blocks.0.attention.k_proj") }
        #expect(names == ["left", "right", "active_rank"].map { "blocks.0.attention.k_proj.\($0)" })
    }
}
