import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// Liger attention and its baselines as mixers, and what the method is made of.
@Suite(.ownRandomNumbers) struct LigerTests {
    private static func layer(_ gate: LigerGate, window: Int = 5, mix: Double = 0.5, keyValueHeads: Int = 2) -> LigerAttention {
        guard let configuration = try? LigerConfiguration(gate: gate, window: window, mix: mix) else { preconditionFailure("settings") }
        return LigerAttention(dimensions: 16, heads: 4, keyValueHeads: keyValueHeads, configuration)
    }

    static let mixers: [SequenceMixerConformance] =
        [LigerGate.gla, .hgrn2, .gsa(slots: 3), .scalar, .none].map { gate in
            SequenceMixerConformance("liger \(gate.rawValue), shared heads", dimensions: 16, constantState: false) { layer(gate) }
        } + [
            .init("liger gla without a window", dimensions: 16) { layer(.gla, mix: 0) },
            .init("liger gsa without a window", dimensions: 16) { layer(.gsa(slots: 4), mix: 0) },
            .init("liger with a trained gate", dimensions: 16) { layer(.learned, mix: 0) },
            .init("liger, window alone", dimensions: 16, constantState: false, modes: []) { layer(.gla, window: 4, mix: 1) },
            .init("learned features", dimensions: 16, constantState: false) {
                LearnedFeatureAttention(
                    MultiHeadAttention(AttentionConfiguration(dimensions: 16, heads: 4, keyValueHeads: 2, causal: true, rotaryTheta: 100)),
                    window: 5, mix: 0.3)
            },
        ]

    @Test(arguments: mixers) func conforms(_ mixer: SequenceMixerConformance) throws { try mixer.checkAll() }

    @Test func theStateStopsGrowingAtTheWindow() {
        let layer: LigerAttention = Self.layer(.gla, window: 8)
        #expect(layer.stateBytes(batch: 1, length: 3) < layer.stateBytes(batch: 1, length: 8))
        #expect(layer.stateBytes(batch: 1, length: 8) == layer.stateBytes(batch: 1, length: 8000))
    }

    @Test func pooledGatesAreMeansOfNeighbours() {
        let keys: Tensor = Tensor([1.0, 2, 3, 6, 10, 20, 30, 60], [1, 1, 2, 4], dtype: .float64, device: .cpu)
        #expect(pooledGateLogits(keys, width: 4) === keys)
        #expect(pooledGateLogits(keys, width: 1).array(Double.self) == [3, 30])
        #expect(pooledGateLogits(keys, width: 2).array(Double.self) == [1.5, 4.5, 15, 45])
        // Three bins of four channels overlap: 0…1, 1…2, 2…3.
        #expect(pooledGateLogits(keys, width: 3).array(Double.self) == [1.5, 2.5, 4.5, 15, 25, 45])
    }

    /// Sharing a key head among queries is as good as a copy of it for each.
    @Test(arguments: [LigerGate.gla, .hgrn2, .gsa(slots: 2), .scalar, .none]) func sharedHeadsAreCopies(gate: LigerGate) throws {
        let (shared, copied): (LigerAttention, LigerAttention) = (Self.layer(gate), Self.layer(gate, keyValueHeads: 4))
        for layer in [shared, copied] { layer.to(dtype: .float64) }
        func copies(_ weight: Tensor) -> Tensor { weight.reshaped(2, 4, 16).repeated(2, axis: 0).reshaped(16, 16) }
        copied.update(parameters: [
            "q_proj.weight": shared.queryProjection.denseWeight(), "o_proj.weight": shared.outputProjection.denseWeight(),
            "k_proj.weight": copies(shared.keyProjection.denseWeight()), "v_proj.weight": copies(shared.valueProjection.denseWeight()),
        ])
        let x: Tensor = .normal([2, 13, 16], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
        #expect(scaledError(copied(x), shared(x)) < 1e-14)
    }

    /// The recurrence and its gates know nothing of positions; the window attention does.
    @Test func gatesComeFromKeysWithoutPositions() throws {
        let x: Tensor = .normal([1, 9, 16], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        func output(_ mix: Double, theta: Double) throws -> Tensor {
            let layer: LigerAttention = LigerAttention(
                dimensions: 16, heads: 2, rotaryTheta: theta, try LigerConfiguration(window: 4, mix: mix),
                generator: RandomGenerator(seed: 4, device: .cpu))
            layer.to(dtype: .float64)
            for (_, parameter) in layer.namedParameters() { noGrad { parameter.copy_(from: parameter * 30) } }
            return layer(x)
        }
        #expect(try output(0, theta: 10).isEqual(to: output(0, theta: 10_000)))
        #expect(try scaledError(output(0.5, theta: 10), output(0.5, theta: 10_000)) > 1e-4)
    }

    /// One step of each recurrence by hand, scale 1 and the softmax over channels.
    @Test func theFirstStepIsByTheDefinition() throws {
        let x: Tensor = .normal([1, 1, 16], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 5, device: .cpu))
        for gate in [LigerGate.gla, .hgrn2, .gsa(slots: 4)] {
            let layer: LigerAttention = Self.layer(gate, mix: 0, keyValueHeads: 4)
            layer.to(dtype: .float64)
            for (_, parameter) in layer.namedParameters() { noGrad { parameter.copy_(from: parameter * 40) } }
            func heads(_ linear: any LinearMap) -> Tensor { linear(x).reshaped(4, 4) }
            let (q, k, v): (Tensor, Tensor, Tensor) = (
                heads(layer.queryProjection), heads(layer.keyProjection), heads(layer.valueProjection)
            )
            let output: Tensor
            if case .gsa = gate {
                let writes: Tensor = 1 - (k.logSigmoid() / 16).exp()
                let score: Tensor = writes * (q * k).sum(axis: 1, keepDims: true)
                output = (score.softmax() * writes).sum(axis: 1, keepDims: true) * v
            } else {
                let key: Tensor = gate == .gla ? k.softmax() : 1 - k.sigmoid()
                output = (q.softmax() * key).sum(axis: 1, keepDims: true) * v
            }
            let expected: Tensor = layer.outputProjection(output.reshaped(1, 1, 16))
            #expect(scaledError(layer(x), expected) < 1e-13, "\(gate.rawValue)")
        }
    }

    @Test func theWindowCountsTheCurrentToken() throws {
        let layer: LigerAttention = Self.layer(.gla, window: 3, mix: 1)
        layer.to(dtype: .float64)
        let x: Tensor = .normal([1, 12, 16], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 6, device: .cpu))
        func last(changing place: Int) -> Tensor {
            let changed: Tensor = x.cloned()
            noGrad { changed.selected(axis: 1, index: place).zero_() }
            return layer(changed).selected(axis: 1, index: 11)
        }
        let expected: Tensor = layer(x).selected(axis: 1, index: 11)
        #expect(last(changing: 8).isEqual(to: expected))
        #expect(!last(changing: 9).isEqual(to: expected))
    }

    @Test func gatesHaveNames() throws {
        for gate in [LigerGate.gla, .hgrn2, .gsa(slots: 32), .scalar, .none, .learned] {
            #expect(LigerGate(rawValue: gate.rawValue) == gate)
        }
        #expect(LigerGate(rawValue: "gsa") == .gsa(slots: 64))
        for name in ["", "gla:2", "gsa:0", "gsa:x", "gsa:1:2", "magic"] { #expect(LigerGate(rawValue: name) == nil, "\(name)") }
        #expect(throws: ConfigurationError.self) { try LigerConfiguration(window: 0) }
        #expect(throws: ConfigurationError.self) { try LigerConfiguration(mix: 1.5) }
        #expect(throws: ConfigurationError.self) { try LigerConfiguration(mix: .nan) }
    }
}
