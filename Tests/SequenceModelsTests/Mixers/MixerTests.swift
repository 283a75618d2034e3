import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct MixerTests {
    /// Every mixer of this group, in the variants that take another path.
    static let mixers: [SequenceMixerConformance] = [
        .init("delta net", dimensions: 12) { DeltaNet(.init(dimensions: 12, heads: 2)) },
        .init("delta net, gated, no convolution, sum norm", dimensions: 12) {
            DeltaNet(
                .init(
                    dimensions: 12, heads: 3, expandKey: 0.5, expandValue: 2, convolutionWidth: nil, queryKeyActivation: .eluPlusOne,
                    queryKeyNorm: .sum, useGate: true))
        },
        .init("delta net, negative eigenvalues", dimensions: 8) {
            DeltaNet(.init(dimensions: 8, heads: 2, queryKeyActivation: .identity, allowNegativeEigenvalues: true))
        },
        .init("gated delta net", dimensions: 12) {
            GatedDeltaNet(.init(dimensions: 12, heads: 2, headDimensions: 4, valueHeadDimensions: 6))
        },
        .init("gated delta net, no gate, no convolution", dimensions: 8) {
            GatedDeltaNet(.init(dimensions: 8, heads: 2, headDimensions: 4, convolutionWidth: nil, useGate: false))
        },
        .init("HGRN", dimensions: 12) { HGRN(dimensions: 12) },
        .init("HGRN, expanded", dimensions: 8) { HGRN(dimensions: 8, expand: 1.5) },
        .init("mixture of memories", dimensions: 12) {
            MixtureOfMemories(.init(dimensions: 12, heads: 2, headDimensions: 4, valueHeadDimensions: 6))
        },
        .init("mixture of memories, one of three, one projection", dimensions: 8) {
            MixtureOfMemories(
                .init(
                    dimensions: 8, heads: 1, headDimensions: 4, memories: 3, topK: 1, sharedMemory: false, singleKeyValue: true,
                    convolutionWidth: 3, useOutputGate: false))
        },
        .init("mixture of delta memories, no convolution", dimensions: 8) {
            MixtureOfMemories(
                .init(dimensions: 8, heads: 2, headDimensions: 4, backend: .delta, singleKeyValue: true, convolutionWidth: nil))
        },
        .init("mixture of gated linear memories", dimensions: 8) {
            MixtureOfMemories(.init(dimensions: 8, heads: 2, headDimensions: 4, memories: 3, backend: .gla, convolutionWidth: 2))
        },
        .init("mixture of linear memories", dimensions: 8) {
            MixtureOfMemories(
                .init(dimensions: 8, heads: 2, headDimensions: 4, memories: 2, topK: 2, sharedMemory: false, backend: .linear))
        },
        .init("gated linear attention", dimensions: 16) { GatedLinearAttention(.init(dimensions: 16, heads: 2, gateLowRank: 4)) },
        .init("gated linear attention, shared heads, convolution", dimensions: 16) {
            GatedLinearAttention(
                .init(
                    dimensions: 16, heads: 4, keyValueHeads: 2, gateLowRank: 4, clampMin: -0.04, useOutputGate: false, featureMap: .relu,
                    convolutionWidth: 3))
        },
        .init("linear attention", dimensions: 12) { LinearAttention(dimensions: 12, heads: 3) },
        .init("linear attention, rotary, convolution", dimensions: 12) {
            LinearAttention(dimensions: 12, heads: 2, featureMap: .eluPlusOne, rotaryTheta: 100, convolutionWidth: 4)
        },
        .init("retention", dimensions: 12) {
            LinearAttention(dimensions: 12, heads: 3, decay: .retention, expandValue: 2, rotaryTheta: 10_000)
        },
        .init("mamba", dimensions: 12) { SelectiveSSM(dim: 12, state: 5) },
        .init("mamba, not expanded, convolution of 2", dimensions: 20) { SelectiveSSM(dim: 20, state: 2, conv: 2, expand: 1, dtRank: 3) },
        .init("mamba in both directions", dimensions: 8) {
            BidirectionalMixer(forward: SelectiveSSM(dim: 8, state: 3), backward: SelectiveSSM(dim: 8, state: 3))
        },
        .init("HyperZZW", dimensions: 4, length: 9) {
            HyperZZWMixer(
                dimensions: 4, configuration: SFNEConfiguration(side: 3, globalHidden: 3, localHidden: 3, localLayers: 1, groups: 2))
        },
        .init("softmax attention", dimensions: 12, constantState: false, modes: []) { SoftmaxAttention(dimensions: 12, heads: 2) },
        .init("sliding window attention, shared heads", dimensions: 16, constantState: false, modes: []) {
            SoftmaxAttention(dimensions: 16, heads: 4, window: 5, keyValueHeads: 2)
        },
        .init("simplified linear attention", dimensions: 12) { SimplifiedLinearAttention(dimensions: 12, heads: 2) },
        .init("simplified linear attention, no convolution", dimensions: 12) {
            SimplifiedLinearAttention(dimensions: 12, heads: 6, kernel: nil)
        },
        .init("full softmax attention", dimensions: 12, modes: []) { FullSoftmaxAttention(dimensions: 12, heads: 3) },
        .init("norm attention", dimensions: 12) { NormAttention(dimensions: 12, heads: 3) },
        .init("norm attention, 1 + elu, positions", dimensions: 12) {
            NormAttention(dimensions: 12, heads: 2, featureMap: .eluPlusOne, position: lrpe(6))
        },
        .init("norm attention of all steps", dimensions: 12) {
            NormAttention(dimensions: 12, heads: 2, position: lrpe(6), causal: false)
        },
        .init("diagonal attention, relu, positions", dimensions: 12, kept: ["k", "v", "filled"]) {
            DiagAttention(dimensions: 12, heads: 2, block: 5, position: lrpe(6))
        },
        .init("diagonal attention, softmax", dimensions: 12, kept: ["k", "v", "filled"]) {
            DiagAttention(dimensions: 12, heads: 3, block: 8, activation: .softmax)
        },
        .init("scaled linear attention", dimensions: 12) { ScaledLinearAttention(dimensions: 12, heads: 3) },
        .init("scaled linear attention, positions", dimensions: 12) {
            ScaledLinearAttention(dimensions: 12, heads: 2, position: lrpe(6))
        },
        .init("light net", dimensions: 12) { LightNetAttention(.init(dimensions: 12, heads: 2)) },
        .init("light net, trained rates, sigmoid gate, initial mass", dimensions: 12) {
            LightNetAttention(
                .init(
                    dimensions: 12, heads: 3, expandKey: 0.5, position: .learnedMultiDimensional, gateRank: 5, gate: .sigmoid,
                    normGroups: 3,
                    initialMass: true))
        },
        .init("light net, rotary", dimensions: 12, kept: ["position"]) {
            LightNetAttention(.init(dimensions: 12, heads: 2, position: .rotary))
        },
        .init("light net of all steps", dimensions: 12) {
            LightNetAttention(.init(dimensions: 12, heads: 2, causal: false, initialMass: true))
        },
        .init("one scan", dimensions: 16) {
            multiScan(GatedLinearAttention(.init(dimensions: 16, heads: 2, gateLowRank: 4)), directions: 1)
        },
        .init("two scans", dimensions: 16) {
            multiScan(GatedLinearAttention(.init(dimensions: 16, heads: 2, gateLowRank: 4)), directions: 2)
        },
    ]

    /// Positions whose reflection is the same on every call.
    private static func lrpe(_ dimensions: Int) -> LRPE { LRPE(dimensions, generator: RandomGenerator(seed: 6, device: .cpu)) }

    @Test(arguments: mixers) func conforms(_ mixer: SequenceMixerConformance) throws { try mixer.checkAll() }

    @Test func gatesStartNearOne() {
        let layer: GatedLinearAttention = GatedLinearAttention(.init(dimensions: 32))
        let decays: Tensor = layer.logDecays(.zeros([1, 1, 32], device: .cpu)).exp()
        let expected: Double = 0.957_603
        #expect((decays - expected).abs().max().item(Double.self) < 1e-6)
    }

    @Test func slidingWindowStateStopsGrowing() {
        let layer: SoftmaxAttention = SoftmaxAttention(dimensions: 16, heads: 2, window: 5)
        #expect(layer.stateBytes(batch: 3, length: 5) == layer.stateBytes(batch: 3, length: 500))
        let global: SoftmaxAttention = SoftmaxAttention(dimensions: 16, heads: 2)
        #expect(global.stateBytes(batch: 1, length: 500) == 100 * global.stateBytes(batch: 1, length: 5))
    }

    @Test func hybridsPlaceAttention() {
        let windows: HybridPattern = .slidingWindow(every: 2, window: 64)
        #expect((0..<4).map(windows.layer) == [.linear, .attention(window: 64), .linear, .attention(window: 64)])
        let global: HybridPattern = .globalAttention(depth: 8)
        #expect((0..<8).filter { global.layer(at: $0) == .attention(window: nil) } == [1, 4])
    }

    @Test func keyValueRingsKeepTheLast() {
        func tokens(_ values: [Double]) -> Tensor { Tensor(values, [1, values.count, 1, 1], device: .cpu) }
        let first: KVRing = KVRing(capacity: 3).extended(keys: tokens([1, 2]), values: tokens([1, 2]), mask: nil)
        let second: KVRing = first.extended(
            keys: tokens([3, 4]), values: tokens([3, 4]), mask: Tensor([[0.0, 1.0]].flatMap { $0 }, [1, 2], device: .cpu))
        #expect(second.count == 4 && second.trimmed().count == 3 && first.count == 2)
        #expect(second.trimmed().keys?.array(Double.self) == [2, 3, 4])
        #expect(second.trimmed().mask?.array(Double.self) == [1, 0, 1])
    }
}
