import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The layer: its forms agree, it continues, forks and masks as a sequence mixer has to, and trains.
@Suite(.ownRandomNumbers) struct LSSLTests {
    private static let (batch, length, features): (Int, Int, Int) = (2, 37, 4)

    private func layer(
        _ transition: LSSLConfiguration.Transition, channels: Int = 2, order: Int = 6, bias: Bool = true
    ) throws -> LSSL {
        let configuration: LSSLConfiguration = try LSSLConfiguration(
            features: Self.features, order: order, channels: channels, transition: transition, bias: bias)
        let layer: LSSL = LSSL(configuration, generator: RandomGenerator(seed: 1, device: .cpu))
        return layer.to(dtype: .float64, device: .cpu)
    }

    private func input(length: Int = Self.length, seed: UInt64 = 2) -> Tensor {
        .normal(
            [Self.batch, length, Self.features], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func call(
        _ layer: LSSL, _ x: Tensor, mask: Tensor? = nil, from state: MixerState? = nil, _ mode: MixerMode? = nil
    ) -> (Tensor, Tensor) {
        var state: MixerState = state ?? layer.initialState(batch: Self.batch, dtype: .float64, device: .cpu)
        let output: Tensor = layer(x, mask: mask, continuing: &state, mode: mode)
        return (output, state.recurrent["x"] ?? output)
    }

    @Test(arguments: LSSLConfiguration.Transition.allCases)
    func formsAgree(_ transition: LSSLConfiguration.Transition) throws {
        let layer: LSSL = try layer(transition)
        var started: MixerState = layer.initialState(batch: Self.batch, dtype: .float64, device: .cpu)
        _ = layer(input(length: 5, seed: 9), continuing: &started)
        for state in [nil, started] {
            let expected: (Tensor, Tensor) = call(layer, input(), from: state, .recurrent)
            for mode in [MixerMode.parallel, .chunkwise(8), .chunkwise(64)] {
                let found: (Tensor, Tensor) = call(layer, input(), from: state, mode)
                #expect(relativeError(found.0, expected.0) < 1e-10)
                #expect(relativeError(found.1, expected.1) < 1e-10)
            }
        }
    }

    @Test(arguments: [HiPPO.legs, .legt], [LSSLConfiguration.Transition.fixed, .shared, .perFeature])
    func conformsAsASequenceMixer(_ measure: HiPPO, _ transition: LSSLConfiguration.Transition) throws {
        let configuration: LSSLConfiguration = try LSSLConfiguration(
            features: 4, order: 5, channels: 2, measure: measure, transition: transition, smallestStep: 0.05, bias: true)
        // A structured A keeps the weights that it starts with: a T drawn at random has no Thomas solution to rely on.
        let conformance: SequenceMixerConformance = SequenceMixerConformance(
            "LSSL, \(transition)", dimensions: 4, initialWeights: transition != .fixed
        ) { LSSL(configuration, generator: RandomGenerator(seed: 1, device: .cpu)) }
        try conformance.checkAll()
    }

    @Test func gradientsOfTheFormsAgree() throws {
        let layer: LSSL = try layer(.perFeature)
        let found: [[Tensor]] = [MixerMode.recurrent, .parallel, .chunkwise(8)].map { mode in
            valueAndGrad(of: layer) { (layer(input(), mode: mode) * input(seed: 5)).sum() }.gradients
        }
        #expect(found[0].count == layer.parameters().count)
        for gradients in found.dropFirst() {
            for (gradient, expected) in zip(gradients, found[0]) { #expect(relativeError(gradient, expected) < 1e-9) }
        }
    }

    @Test func singlePrecisionFollowsDouble() throws {
        let layer: LSSL = try layer(.shared, order: 64)
        let expected: Tensor = layer(input(), mode: .recurrent)
        layer.to(dtype: .float32)
        #expect(relativeError(layer(input().asType(.float32), mode: .parallel), expected) < 2e-4)
    }

    @Test func splittingAndSteppingChangeNothing() throws {
        let layer: LSSL = try layer(.shared)
        let (whole, last): (Tensor, Tensor) = call(layer, input())
        var state: MixerState = layer.initialState(batch: Self.batch, dtype: .float64, device: .cpu)
        let pieces: [Tensor] = input().split(sizes: [1, 20, 16], axis: 1).map { layer($0, continuing: &state) }
        #expect(relativeError(concatenated(pieces, axis: 1), whole) < 1e-10)
        #expect(state.offset == Self.length)
        var stepped: MixerState = layer.initialState(batch: Self.batch, dtype: .float64, device: .cpu)
        let steps: [Tensor] = input().unbound(axis: 1).map { layer.step($0, state: &stepped) }
        #expect(relativeError(stacked(steps, axis: 1), whole) < 1e-10)
        #expect(relativeError(try #require(stepped.recurrent["x"]), last) < 1e-10)
        #expect(stepped.byteCount == 2 * layer.stateBytes(batch: Self.batch, length: 1_000_000))
    }

    @Test func laterInputsDoNotReachEarlierOutputs() throws {
        let layer: LSSL = try layer(.fixed)
        let changed: Tensor = input().cloned()
        changed.narrowed(axis: 1, start: 20, length: 1).add_(1.0)
        for mode in [MixerMode.recurrent, .parallel] {
            let difference: Tensor = (layer(changed, mode: mode) - layer(input(), mode: mode)).abs().sum(axes: [0, 2])
            #expect(difference.narrowed(axis: 0, start: 0, length: 20).max().item(Double.self) < 1e-12)
            #expect(difference.narrowed(axis: 0, start: 20, length: 17).min().item(Double.self) > 1e-9)
        }
    }

    @Test(arguments: [MixerMode.recurrent, .parallel, .chunkwise(4)], [false, true])
    func maskedStepsLeaveNoTrace(_ mode: MixerMode, _ continued: Bool) throws {
        let layer: LSSL = try layer(.shared)
        var state: MixerState = layer.initialState(batch: Self.batch, dtype: .float64, device: .cpu)
        if continued { _ = layer(input(length: 3, seed: 8), continuing: &state) }
        let kept: [Int] = [3, 4, 5, 8, 9, 11]
        let flags: [Double] = (0..<12).map { kept.contains($0) ? 1 : 0 }
        let mask: Tensor = Tensor(flags, [1, 12], device: .cpu).tiled([Self.batch, 1])
        let masked: (Tensor, Tensor) = call(layer, input(length: 12), mask: mask, from: state, mode)
        let indices: Tensor = Tensor(kept, device: .cpu)
        let plain: (Tensor, Tensor) = call(layer, input(length: 12).indexSelect(axis: 1, indices: indices), from: state, mode)
        #expect(relativeError(masked.0.indexSelect(axis: 1, indices: indices), plain.0) < 1e-10)
        #expect(relativeError(masked.1, plain.1) < 1e-10)
    }

    /// Kernels are kept between calls, but never beyond a change of what they were made from.
    @Test(arguments: LSSLConfiguration.Transition.allCases)
    func keptKernelsFollowRateAndParameters(_ transition: LSSLConfiguration.Transition) throws {
        let layer: LSSL = try layer(transition)
        let logStep: Tensor = try #require(layer.stateTensors().first { $0.0 == "transition.log_step" }?.1)
        noGrad {
            let first: Tensor = layer(input(), mode: .parallel)
            #expect(layer(input(), mode: .parallel).isEqual(to: first))
            layer.rate = 2
            let doubled: Tensor = layer(input(), mode: .parallel)
            #expect(relativeError(doubled, first) > 1e-3)
            layer.rate = 1
            #expect(layer(input(), mode: .parallel).isEqual(to: first))
            logStep.add_(log(2.0))
            #expect(relativeError(layer(input(), mode: .parallel), doubled) < 1e-10)
        }
    }

    @Test func parametersKeepTheirOwnLearningRates() throws {
        let names: [String] = try layer(.shared).parameters().isEmpty ? [] : layer(.shared).namedParameters().map(\.name)
        #expect(names.filter { $0.hasPrefix("transition.matrix.") }.count == 7)
        let groups: [ParameterGroup] = .stateSpace(try layer(.shared))
        #expect(groups.compactMap(\.learningRate) == [1e-4, 1e-3])
        #expect(groups.reduce(0) { $0 + $1.parameters.count } == names.count)
        #expect(groups.filter { $0.learningRate != nil }.allSatisfy { $0.weightDecay == 0 })
        #expect(groups.last?.names == ["transition.log_step"])
        let fixed: LSSL = try layer(.fixed)
        #expect([ParameterGroup].stateSpace(fixed).allSatisfy { $0.learningRate == nil })
        #expect(Set(fixed.namedBuffers().map(\.name)) == ["transition.A", "transition.B", "transition.log_step"])
    }

    @Test(arguments: [
        #"{"features": 0}"#, #"{"features": 4, "order": 1}"#, #"{"features": 4, "alpha": 1.5}"#, #"{"features": 4, "ordre": 8}"#,
        #"{"features": 4, "transition": "free"}"#, #"{"features": 4, "smallestStep": 0.2}"#,
    ])
    func badConfigurationsAreNamed(_ text: String) {
        #expect(throws: ConfigurationError.self) { try JSONDecoder().decode(LSSLConfiguration.self, from: Data(text.utf8)) }
    }

    @Test(arguments: LSSLClassifier.Normalization.allCases)
    func classifierLearnsWhichHalfIsLouder(_ normalization: LSSLClassifier.Normalization) throws {
        let generator: RandomGenerator = RandomGenerator(seed: 4, device: .cpu)
        let configuration: LSSLConfiguration = try LSSLConfiguration(features: 8, order: 8, transition: .shared, smallestStep: 0.01)
        let model: LSSLClassifier = LSSLClassifier(
            1, classes: 2, layers: 1, layer: configuration, normalization: normalization, generator: generator
        ).to(device: .cpu)
        let noise: Tensor = .normal([64, 40, 1], device: .cpu, generator: generator)
        let labels: Tensor = .randomIntegers([64], high: 2, device: .cpu, generator: generator)
        let early: Tensor = (Tensor.arange(40, device: .cpu) .< 20).asType(.float32).reshaped(1, 40, 1)
        let isEarly: Tensor = labels.asType(.float32).reshaped(64, 1, 1)
        let x: Tensor = noise.abs() * (early * isEarly + (1.0 - early) * (1.0 - isEarly))
        let groups: [ParameterGroup] = .stateSpace(model)
        let optimizer: any Optimizer = try AdamW(groups: groups, configuration: AdamWConfiguration(learningRate: 1e-2))
        var losses: [Double] = []
        for _ in 0..<80 {
            let (loss, found): (Tensor, [Tensor]) = valueAndGrad(of: groups.flatMap(\.parameters)) { crossEntropy(model(x), labels) }
            optimizer.step(found)
            losses.append(loss.item())
        }
        #expect(losses[0] > 0.4 && losses[79] < 0.1, "losses \(losses)")
    }
}
