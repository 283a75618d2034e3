import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct TransNormerTests {
    private func model(
        variant: TransNormerVariant = .t1, mixer: MixerConfiguration? = nil, blockLayers: Int? = nil, activation: Activation = .silu,
        tiedHead: Bool = true
    ) throws -> TransNormer {
        let model: TransNormer = try TransNormer(
            TransNormerConfiguration(
                vocabularySize: 20, dimensions: 16, layers: 4, heads: 2, variant: variant, block: 4, blockLayers: blockLayers,
                activation: activation, mixer: mixer, tiedHead: tiedHead))
        model.to(dtype: .float64)
        model.train(false)
        return model
    }

    private let tokens: [Int] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]

    @Test(arguments: TransNormerVariant.allCases) func blocksComeFirst(variant: TransNormerVariant) throws {
        let mixers: [any SequenceMixer] = try model(variant: variant).blocks.map(\.mixer)
        let early: [DiagAttention] = mixers[..<2].compactMap { $0 as? DiagAttention }
        let late: [NormAttention] = mixers[2...].compactMap { $0 as? NormAttention }
        #expect(early.count == 2 && early.allSatisfy { $0.block == 4 && $0.activation == (variant == .t1 ? .relu : .softmax) })
        #expect(late.count == 2 && late.allSatisfy { $0.featureMap == (variant == .t1 ? .elu : .eluPlusOne) && $0.position != nil })
        #expect(try model(variant: variant, blockLayers: 0).blocks.allSatisfy { $0.mixer is NormAttention })
        #expect(try model(mixer: MixerConfiguration(.softmax, heads: 2)).blocks.allSatisfy { $0.mixer is SoftmaxAttention })
    }

    @Test(arguments: TransNormerVariant.allCases) func steppingIsReading(variant: TransNormerVariant) throws {
        let model: TransNormer = try model(variant: variant, tiedHead: variant == .t1)
        let whole: Tensor = noGrad { model(Tensor(tokens, [1, tokens.count])) }
        var state: LanguageModelState = model.initialState(batch: 1)
        let stepped: [Tensor] = noGrad { tokens.map { model.step(Tensor([$0], [1]), state: &state) } }
        #expect(stacked(stepped, axis: 1).isClose(to: whole, relative: 1e-9, absolute: 1e-9))
        var pieces: LanguageModelState? = model.initialState(batch: 1)
        let parts: [Tensor] = noGrad {
            [tokens[..<6], tokens[6..<7], tokens[7...]].map { model(Tensor(Array($0), [1, $0.count]), state: &pieces) }
        }
        #expect(concatenated(parts, axis: 1).isClose(to: whole, relative: 1e-9, absolute: 1e-9))
        #expect(whole.shape == [1, tokens.count, 20])
    }

    @Test func itsStateHasOneSize() throws {
        let model: TransNormer = try model()
        #expect(model.stateBytes(batch: 2, length: 10) == model.stateBytes(batch: 2, length: 10_000))
    }

    @Test func itGenerates() throws {
        let added: [Int] = try model().generate(prompt: [1, 2], limit: 9, sampling: SamplingConfiguration(seed: 1))
        #expect(added.count == 9)
    }

    @Test func theGateMayBeTheIdentity() throws {
        let layer: GatedFeedForward = try model(activation: .identity).blocks[0].feedForward
        let x: Tensor = normal([3, 16])
        #expect(relativeError(layer(x), layer.downProjection(layer.gateProjection(x) * layer.upProjection(x))) < 1e-12)
        #expect(layer.gateProjection.bias != nil && layer.gateProjection.outputDimensions == 42)
    }

    @Test func wrongSettingsAreNamed() {
        func complaint(layers: Int = 2, heads: Int = 2, block: Int = 4, blockLayers: Int? = nil) -> String? {
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) {
                let configuration: TransNormerConfiguration = try TransNormerConfiguration(
                    vocabularySize: 8, dimensions: 16, layers: layers, heads: heads, block: block, blockLayers: blockLayers)
                _ = try TransNormer(configuration)
            }
            return error.map { "\($0)" }
        }
        #expect(complaint(layers: 0)?.contains("model.layers is 0") == true)
        #expect(complaint(block: 0)?.contains("model.block is 0") == true)
        #expect(complaint(blockLayers: 3)?.contains("model.blockLayers is 3; it has to lie in 0 ... 2") == true)
        #expect(complaint(heads: 3)?.contains("3 heads have to divide them") == true)
        #expect(complaint(heads: 16)?.contains("even key width") == true)
    }
}
