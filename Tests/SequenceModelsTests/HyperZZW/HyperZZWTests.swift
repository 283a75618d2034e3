import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct HyperZZWTests {
    private func normal(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func theGlobalOperatorIsItsSum() {
        let (x, kernel, y): (Tensor, Tensor, Tensor) = (
            normal([2, 3, 4, 4]), normal([1, 3, 4, 4], seed: 2), normal([2, 3, 4, 4], seed: 3)
        )
        let found: Tensor = hyperZZWGlobal(x, kernel: kernel, y)
        for (b, c, i, j) in [(0, 0, 0, 0), (1, 2, 3, 1), (0, 1, 2, 3), (1, 0, 1, 2)] {
            let wanted: Double = (0..<4).reduce(0) {
                $0 + x[b, c, i, $1].item(Double.self) * kernel[0, c, i, $1].item(Double.self) * y[b, c, $1, j].item(Double.self)
            }
            #expect(abs(found[b, c, i, j].item(Double.self) - wanted) < 1e-12)
        }
    }

    /// `h_0 = f_0`, `h_l = f_l ⊙ (A h + a) + π`, linear output, one place at a time.
    @Test func slowNetworksAreTheirRecursionAtEveryPlace() {
        let network: MAGNet = MAGNet(
            channels: 3, sizes: [3, 2], configuration: MAGNetConfiguration(hiddenDimensions: 5, layers: 2),
            generator: RandomGenerator(seed: 4, device: .cpu))
        network.to(dtype: .float64)
        noGrad { network.placeBias.copy_(from: normal([1, 1, 3, 2])) }
        let kernel: Tensor = network()
        #expect(kernel.shape == [1, 3, 3, 2])
        for (row, column) in [(0, 0), (1, 1), (2, 0)] {
            let place: Tensor = Tensor([Double(row) - 1, Double(column) * 2 - 1], device: .cpu)
            var hidden: Tensor = network.filters[0](place).sin()
            for layer in 0..<2 {
                hidden = network.filters[layer + 1](place).sin() * network.linears[layer](hidden) + network.placeBias[0, 0, row, column]
            }
            #expect(relativeError(kernel[0, 0..., row, column], network.outputLinear(hidden)) < 1e-12)
        }
    }

    @Test func slowNetworksStartAsThePaperHasThem() {
        let network: MAGNet = MAGNet(
            channels: 64, sizes: [16, 16], configuration: MAGNetConfiguration(hiddenDimensions: 400, layers: 1, omega: 10, alpha: 6),
            generator: RandomGenerator(seed: 6, device: .cpu))
        // A uniform weight of ±1/√2 has the variance 1/6; γ of Gamma(a, 1) the second moment a + a².
        for (index, shape) in [6.0, 3.0].enumerated() {
            let scale: Double = 20 * Double.pi
            let wanted: Double = scale * scale * (shape + shape * shape) / 6
            let found: Double = network.filters[index].weight.square().mean().item()
            #expect(abs(found / wanted - 1) < 0.2, "filter \(index)")
            #expect(network.filters[index].bias?.abs().max().item(Double.self) == 0)
        }
        #expect(network.linears[0].bias?.min().item(Double.self) == 1)
        let deviation: Double = network.outputLinear.weight.standardDeviation().item()
        #expect(abs(deviation / (1.0 / 400 / 256).squareRoot() - 1) < 0.05)
    }

    @Test func renormalisationPassesGradientsThroughTheNormOnly() {
        let hidden: Tensor = normal([6, 4]).requiringGrad()
        let (alpha, beta): (Tensor, Tensor) = (normal([4], seed: 2).requiringGrad(), normal([4], seed: 3).requiringGrad())
        let weights: Tensor = normal([6, 4], seed: 5)
        let output: Tensor = sRenormalized(hidden, alpha: alpha, beta: beta)
        let norms: Tensor = hidden.square().sum(axis: 0).sqrt()
        #expect(relativeError(output, alpha * hidden + beta * hidden / norms) < 1e-12)
        let found: [Tensor] = gradients(of: [(output * weights).sum()], withRespectTo: [hidden, alpha, beta])
        let normalized: Tensor = (beta * hidden / norms * weights).sum()
        #expect(relativeError(found[0], gradients(of: [normalized], withRespectTo: [hidden])[0]) < 1e-10)
        #expect(relativeError(found[1], (hidden * weights).sum(axis: 0)) < 1e-10)
        #expect(relativeError(found[2], (hidden / norms * weights).sum(axis: 0)) < 1e-10)
    }

    private func contextual(_ statistics: ContextStatistics) -> ContextualMAGNet {
        let network: ContextualMAGNet = ContextualMAGNet(
            channels: 3, kernelSize: 3, configuration: MAGNetConfiguration(hiddenDimensions: 4, layers: 2), statistics: statistics,
            generator: RandomGenerator(seed: 9, device: .cpu))
        network.to(dtype: .float64)
        return network
    }

    @Test func localKernelsDependOnTheBatchAndGlobalOnesDoNot() {
        let network: ContextualMAGNet = contextual(.batch)
        let x: Tensor = normal([4, 3, 6, 6])
        let kernel: Tensor = network(x)
        #expect(kernel.shape == [1, 3, 3, 3])
        let other: Tensor = concatenated([x.narrowed(axis: 0, start: 0, length: 3), normal([1, 3, 6, 6], seed: 7)])
        #expect(relativeError(network(other), kernel) > 1e-6)
        #expect(relativeError(network(x.flipped(axes: [0])), kernel) < 1e-10)
        #expect(network.magnet().isEqual(to: network.magnet()))
    }

    @Test func runningContextsReplaceTheBatchInEvaluation() throws {
        let network: ContextualMAGNet = contextual(.running)
        let x: Tensor = normal([4, 3, 6, 6])
        _ = network(x)
        let running: Tensor = try #require(network.runningContext)
        let reduced: Tensor = network.reduction(x.adaptiveAveragePool2d(outputSize: 3)).mean(axis: 0, keepDims: true)
        #expect(relativeError(running, reduced * 0.1) < 1e-12)
        network.train(false)
        #expect(network(x).isEqual(to: network(normal([2, 3, 6, 6], seed: 8))))
    }

    @Test func localOperatorsConvolveStandardiseAndActivate() {
        let layer: HyperZZWLocal = HyperZZWLocal(
            channels: 2, kernelSize: 3, configuration: MAGNetConfiguration(hiddenDimensions: 4, layers: 1),
            generator: RandomGenerator(seed: 2, device: .cpu))
        layer.to(dtype: .float64)
        noGrad { layer.bias.fill_(0.25) }
        let (x, y): (Tensor, Tensor) = (normal([3, 2, 4, 4]), normal([3, 2, 4, 4], seed: 4))
        let kernel: Tensor = layer.slowNetwork(x)
        let padded: Tensor = y.padded([(1, 1), (1, 1)])
        var local: Tensor = .zeros([3, 2, 4, 4], dtype: .float64, device: .cpu)
        for row in 0..<3 {
            for column in 0..<3 {
                let shifted: Tensor = padded.narrowed(axis: 2, start: row, length: 4).narrowed(axis: 3, start: column, length: 4)
                local = local + shifted * kernel[0, 0..., row, column].reshaped(1, 2, 1, 1)
            }
        }
        let mixed: Tensor = layer.channelMixer(local)
        let mean: Tensor = mixed.mean(axes: [0, 2, 3], keepDims: true)
        let variance: Tensor = mixed.variance(axes: [0, 2, 3], keepDims: true)
        let wanted: Tensor = ((mixed - mean) / (variance + 1e-5).sqrt()).gelu() + 0.25
        #expect(relativeError(layer(kernelFrom: x, y), wanted) < 1e-9)
    }

    @Test func gatedUnitsAreTheirFormula() throws {
        let unit: RecursiveGatedUnit = RecursiveGatedUnit(channels: 3, side: 4, generator: RandomGenerator(seed: 2, device: .cpu))
        unit.to(dtype: .float64)
        noGrad { unit.placeBias.copy_(from: normal([1, 1, 4, 4])) }
        let x: Tensor = normal([2, 3, 4, 4], seed: 3)
        let product: Tensor = unit.keyMixer(x) * unit.queryMixer(unit.valueMixer(x))
        let centred: Tensor = product - product.mean(axes: [2, 3], keepDims: true)
        let standard: Tensor = centred / (centred.square().mean(axes: [2, 3], keepDims: true) + 1e-5).sqrt()
        #expect(relativeError(unit(x), unit.outputMixer(standard.gelu() + unit.placeBias)) < 1e-10)
        try gradientCheck([x]) { [unit($0[0])] }
    }

    @Test func interactionsScaleByScores() throws {
        let configuration: MAGNetConfiguration = MAGNetConfiguration(hiddenDimensions: 4, layers: 1)
        let generator: RandomGenerator = RandomGenerator(seed: 2, device: .cpu)
        let channels: HyperChannelInteraction = HyperChannelInteraction(channels: 3, configuration: configuration, generator: generator)
        let both: HyperInteraction = HyperInteraction(
            channels: 3, side: 4, channelConfiguration: configuration, placeConfiguration: configuration, generator: generator)
        channels.to(dtype: .float64)
        both.to(dtype: .float64)
        let (x, y): (Tensor, Tensor) = (normal([2, 3, 4, 4]), normal([2, 3, 4, 4], seed: 4))
        let means: Tensor = x.mean(axes: [2, 3])
        let scores: Tensor = (means.square() * channels.slowNetwork().reshaped(1, 3)).sigmoid().reshaped(2, 3, 1, 1)
        #expect(relativeError(channels(x), x * scores) < 1e-12)
        let (place, channel): (Tensor, Tensor) = (y.mean(axis: 1, keepDims: true), y.mean(axes: [2, 3], keepDims: true))
        let score: Tensor =
            place.square() * both.placeNetwork() * channel.square() * both.channelNetwork().reshaped(1, 3, 1, 1)
        #expect(relativeError(both(y, x), x * score.sigmoid()) < 1e-12)
        try gradientCheck([x, y]) { [channels($0[0]), both($0[1], $0[0])] }
    }
}
