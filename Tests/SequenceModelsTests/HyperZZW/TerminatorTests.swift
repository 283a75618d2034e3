import Foundation
import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct TerminatorTests {
    private func normal(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func block(
        _ interaction: SFNEConfiguration.GlobalInteraction = .contextual, statistics: ContextStatistics = .batch
    ) -> SFNEConfiguration {
        SFNEConfiguration(
            side: 6, globalHidden: 4, localHidden: 4, localLayers: 1, globalInteraction: interaction, contextStatistics: statistics)
    }

    private func network(_ statistics: ContextStatistics = .batch) throws -> Terminator {
        let network: Terminator = Terminator(
            try .compact(inputChannels: 2, classes: 5, block: block(statistics: statistics)),
            generator: RandomGenerator(seed: 3, device: .cpu))
        return network.to(dtype: .float64)
    }

    // MARK: Standardisation

    @Test(arguments: [(12, 12), (24, 12), (36, 12), (6, 1)]) func groupsAreStandardised(_ channels: Int, _ groups: Int) {
        let layer: GroupInstanceBatchStandardization = GroupInstanceBatchStandardization(channels, groups: groups)
        let x: Tensor = normal([5, channels, 4, 4]) * 3 + normal([5, channels, 1, 1], seed: 2) * 2
        let found: Tensor = layer(x)
        #expect(layer.instanceChannels.count == channels / 2)
        #expect(Set(layer.instanceChannels + layer.batchChannels).count == channels)
        for (chosen, axes) in [(layer.instanceChannels, [2, 3]), (layer.batchChannels, [0, 2, 3])] {
            let places: Tensor = Tensor(chosen, device: .cpu)
            let part: Tensor = found.indexSelect(axis: 1, indices: places)
            #expect(part.mean(axes: axes).abs().max().item(Double.self) < 1e-5)
            #expect((part.variance(axes: axes) - 1).abs().max().item(Double.self) < 1e-4)
            let source: Tensor = x.indexSelect(axis: 1, indices: places)
            let centred: Tensor = source - source.mean(axes: axes, keepDims: true)
            let wanted: Tensor = centred / (source.variance(axes: axes, keepDims: true) + 1e-5).sqrt()
            #expect(relativeError(part, wanted) < 1e-9)
        }
    }

    /// In every group of four the first two are the images' own.
    @Test func halvesOfGroupsGoByImage() {
        #expect(GroupInstanceBatchStandardization(8, groups: 2).instanceChannels == [0, 1, 4, 5])
        #expect(GroupInstanceBatchStandardization(6, groups: 2).instanceChannels == [0, 1, 3])
    }

    // MARK: Slow loss

    @Test func tiledKernelsHaveNoSlowLoss() {
        let first: Tensor = normal([1, 2, 3, 3])
        let tiled: [Tensor] = [first, first.tiled([1, 3, 1, 1]), first.tiled([1, 6, 1, 1])]
        #expect(slowNeuralLoss(tiled).item(Double.self) == 0)
        let shifted: [Tensor] = [first, tiled[1] + 2, tiled[2] - 1]
        // Pairs differ by 2, 1 and 3.
        #expect(abs(slowNeuralLoss(shifted).item(Double.self) - 14) < 1e-12)
        #expect(slowNeuralLoss([first]).item(Double.self) == 0)
    }

    // MARK: The network

    @Test func blocksConcatenateTenMapsAndTheEarlier() throws {
        let network: Terminator = try network()
        #expect(network.configuration.channels == [4, 12, 24, 48])
        #expect(network.blocks.map { $0.bottleneck.weight.dim(1) } == [40, 120, 11 * 24])
        let (features, kernels): ([Tensor], [Tensor]) = network.features(normal([3, 2, 6, 6]))
        #expect(features.map { $0.dim(1) } == [12, 24, 48])
        #expect(kernels.map(\.shape) == [[1, 4, 6, 6], [1, 12, 6, 6], [1, 24, 6, 6]])
        for map in features { #expect(map.mean().abs().item(Double.self) < 1e-10) }
        #expect(network.slowParameterCount > 0 && network.slowParameterCount < network.parameterCount / 2)
    }

    @Test func everyParameterIsTrained() throws {
        let network: Terminator = try network()
        let labels: Tensor = Tensor([0, 1, 4, 2], device: .cpu)
        let (loss, gradients) = valueAndGrad(of: network) { network.loss(normal([4, 2, 6, 6]), labels) }
        #expect(loss.item(Double.self).isFinite)
        // What adds one number to a whole channel before a standardisation changes nothing; only its penalty has a gradient, and that is 0 at 0.
        let standardised: [String] =
            ["channel_mixer.bias", "channel_mixer_mlp.bias", "rgu.fast_linear_y.bias", "rgu_2.fast_linear_y.bias", "bottleneck_layer.bias"]
            + (0..<4).map { "locals.\($0).bias" }
        for (parameter, gradient) in zip(network.namedParameters(), gradients) {
            if standardised.contains(where: { parameter.name.hasSuffix($0) }) { continue }
            #expect(gradient.abs().max().item(Double.self) > 1e-12, "\(parameter.name)")
        }
    }

    /// Cross-entropy with smoothed labels, slow loss and norms of the fast parameters, each by itself.
    @Test func theLossIsItsParts() throws {
        let network: Terminator = try network()
        network.train(false)
        let (images, labels): (Tensor, Tensor) = (normal([4, 2, 6, 6]), Tensor([0, 1, 4, 2], device: .cpu))
        let (logits, slow): (Tensor, Tensor) = network(images)
        func loss(_ smoothing: Double, _ slowWeight: Double, _ normWeight: Double) -> Double {
            network.loss(images, labels, TerminatorLoss(labelSmoothing: smoothing, slowWeight: slowWeight, normWeight: normWeight)).item()
        }
        let plain: Double = crossEntropy(logits, labels).item()
        #expect(abs(loss(0, 0, 0) - plain) < 1e-12)
        #expect(abs(loss(0, 3, 0) - plain - 3 * slow.item(Double.self)) < 1e-12)
        let uniform: Double = -logits.logSoftmax().mean().item(Double.self)
        #expect(abs(loss(0.09, 0, 0) - (0.91 * plain + 0.09 * uniform)) < 1e-12)
        let slowNames: [String] = network.namedModules().filter { $0.module is MAGNet }.map { $0.name + "." }
        let norms: Double = network.namedParameters().filter { parameter in !slowNames.contains { parameter.name.hasPrefix($0) } }
            .reduce(0) { $0 + $1.tensor.square().sum().sqrt().item(Double.self) }
        #expect(abs(loss(0, 0, 0.1) - plain - 0.1 * norms) < 1e-9)
    }

    @Test func predictionsDependOnTheBatchUnlessStatisticsRun() throws {
        let (images, other): (Tensor, Tensor) = (normal([4, 2, 6, 6]), normal([3, 2, 6, 6], seed: 7))
        let single: Tensor = images.narrowed(axis: 0, start: 0, length: 1)
        for statistics in ContextStatistics.allCases {
            let network: Terminator = try network(statistics)
            _ = network(images)
            network.train(false)
            let alone: Tensor = network(images).logits[0]
            let among: Tensor = network(concatenated([single, other])).logits[0]
            #expect((relativeError(among, alone) < 1e-10) == (statistics == .running), "\(statistics)")
        }
    }

    @Test func interactionsHaveTheSameParametersAndOtherOutputs() {
        let x: Tensor = normal([2, 12, 6, 6])
        let outputs: [Tensor] = SFNEConfiguration.GlobalInteraction.allCases.map { interaction in
            let layer: SFNEBlock = SFNEBlock(
                channels: 12, factor: 1, layers: 2, configuration: block(interaction), generator: RandomGenerator(seed: 3, device: .cpu))
            layer.to(dtype: .float64)
            return layer(x).output
        }
        #expect(relativeError(outputs[0], outputs[1]) > 1e-3 && relativeError(outputs[0], outputs[2]) > 1e-3)
    }

    @Test func checkpointsHoldEverything() throws {
        let (one, other): (Terminator, Terminator) = (try network(.running), try network(.running))
        noGrad { for parameter in other.parameters() { parameter.add_(0.1) } }
        _ = one(normal([4, 2, 6, 6]))
        try other.load(Dictionary(uniqueKeysWithValues: one.stateTensors()))
        one.train(false)
        other.train(false)
        let x: Tensor = normal([2, 2, 6, 6], seed: 5)
        #expect(one(x).logits.isEqual(to: other(x).logits))
    }

    @Test func badConfigurationsAreRefused() {
        let cases: [(String, () throws -> TerminatorConfiguration)] = [
            ("a Terminator of 6 blocks; it has 1 to 5", { try .compact(inputChannels: 1, classes: 2, blocks: 6, block: block()) }),
            (
                "model.kernelSizes is [3, 4, 5, 7]; it has to be four odd numbers",
                { try .compact(inputChannels: 1, classes: 2, block: SFNEConfiguration(side: 4, kernelSizes: [3, 4, 5, 7])) }
            ),
            (
                "block 0 has 4 channels, which have to be at least 2 and divide into model.groups = 12",
                { try TerminatorConfiguration(inputChannels: 1, classes: 2, block: block()) }
            ),
            (
                "model.earlier[1] is 1; block 1 has at most 0 earlier blocks to take in",
                {
                    try TerminatorConfiguration(
                        inputChannels: 12, classes: 2, factors: [1, 1], layers: [1, 1], earlier: [0, 1], dropout: [0, 0], block: block())
                }
            ),
            (
                "model.layers has 1 entries; it has to have one for each of the 2 factors",
                {
                    try TerminatorConfiguration(
                        inputChannels: 12, classes: 2, factors: [1, 1], layers: [1], earlier: [0, 0], dropout: [0, 0], block: block())
                }
            ),
        ]
        for (message, make) in cases {
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) { try make() }
            #expect(error?.description == message)
        }
    }

    // MARK: Sequences

    @Test func sequencesAreReadRowByRow() {
        let sequence: Tensor = Tensor.arange(18, dtype: .float64, device: .cpu).reshaped(1, 9, 2)
        let images: Tensor = squareImages(sequence)
        #expect(images.shape == [1, 2, 3, 3])
        #expect(images[0, 1, 2, 0].item(Double.self) == sequence[0, 6, 1].item(Double.self))
    }

    @Test func datasetsAreReadInAnotherOrder() {
        let data: SequenceDataset = SequenceDataset(
            values: [0, 1, 2, 3, 4, 5], labels: [0, 1], length: 3, channels: 1, classes: ["a", "b"])
        #expect(data.reading(times: [2, 0, 1]).values == [2, 0, 1, 5, 3, 4])
        #expect(data.decimated(2).values == [0, 2, 3, 5])
    }
}
