import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct SNNKAdapterTests {
    @Test(arguments: [SNNKAdapter.Style.modulated, .bottleneck(width: 3)]) func changesNothingAtTheStartAndLearns(style: SNNKAdapter.Style)
    {
        let adapter: SNNKAdapter = SNNKAdapter(8, count: 5, style: style)
        let x: Tensor = .normal([2, 3, 8], device: .cpu)
        #expect(adapter(x).isEqual(to: x))
        let found: [Tensor] = gradients(of: [adapter(x).square().sum()], withRespectTo: adapter.parameters())
        #expect(found.contains { largest($0) > 0 })
        let expected: Int = style == .modulated ? 8 * 5 + 8 : 3 * 5 + 3 * 8 + 8
        #expect(adapter.parameterCount == expected)
        #expect(adapter.namedBuffers().map(\.name) == ["kernel.features.directions"])
    }

    @Test func houlsbysAdapterChangesNothingAtTheStart() {
        let adapter: HoulsbyAdapter = HoulsbyAdapter(8, width: 3)
        let x: Tensor = .normal([2, 8], device: .cpu)
        #expect(adapter(x).isEqual(to: x))
        #expect(adapter.parameterCount == 8 * 3 + 3 + 3 * 8 + 8)
    }

    @Test func anEncoderWithAdaptersTrainsThemAlone() throws {
        let shape: BertConfiguration = try BertConfiguration(
            vocabularySize: 20, dimensions: 8, hiddenDimensions: 16, layers: 2, heads: 2, maximumContext: 10)
        let encoder: BertModel = BertModel(shape)
        let tokens: Tensor = .randomIntegers([2, 6], high: 20)
        let names: [String] = encoder.stateTensors().map(\.0)
        let before: Tensor = noGrad { encoder(tokens).meanPooled }
        encoder.insertAdapters { SNNKAdapter($0, count: 64) }
        #expect(noGrad { encoder(tokens).meanPooled }.isEqual(to: before))
        let trained: [String] = encoder.namedParameters().filter { $0.tensor.requiresGrad }.map(\.name)
        #expect(trained.count == 2 * 2 * 2 && trained.allSatisfy { $0.contains("adapter.") })
        #expect(trained.contains("encoder.layer.1.attention.output.adapter.modulation"))
        #expect(Set(names).isSubset(of: encoder.stateTensors().map(\.0)))
        // Once they are trained they change the encoder, both of a layer.
        for layer in encoder.layers {
            for case let adapter as SNNKAdapter in [layer.attentionAdapter, layer.feedForwardAdapter] {
                noGrad { adapter.modulation?.fill_(1) }
                let after: Tensor = noGrad { encoder(tokens).meanPooled }
                #expect(largest(after - before) > 1e-4)
                noGrad { adapter.modulation?.fill_(0) }
            }
        }
    }

    @Test func aPoolerReadsTheFirstToken() {
        let kernel: SNNKLinear = SNNKLinear(replacing: Linear(6, 6), count: 64, .powerSeries(.tanh), inputLength: 1)
        let pooler: SNNKPooler = SNNKPooler(kernel)
        let x: Tensor = .normal([2, 5, 6], device: .cpu)
        #expect(pooler(x).isEqual(to: kernel(x.selected(axis: 1, index: 0))))
    }
}
