import Foundation
import NN
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct LayerTests {
    private static func random(_ shape: Int..., seed: UInt64 = 1) -> Tensor {
        .normal(shape, dtype: .float64, generator: RandomGenerator(seed: seed))
    }

    @Test(arguments: [1, 2, 4])
    func shortConvolutionContinues(width: Int) {
        let layer: ShortConvolution = ShortConvolution(3, width: width, bias: true, activation: .silu).to(dtype: .float64)
        let x: Tensor = Self.random(2, 9, 3)
        let whole: (output: Tensor, state: Tensor) = layer(x, state: nil)
        var state: Tensor = layer.initialState(batch: 2, dtype: .float64)
        var pieces: [Tensor] = []
        for piece in x.split(sizes: [1, 5, 2, 1], axis: 1).dropLast() {
            let next: (output: Tensor, state: Tensor) = layer(piece, state: state)
            pieces.append(next.output)
            state = next.state
        }
        let last: (output: Tensor, state: Tensor) = layer.step(x.selected(axis: 1, index: 8), state: state)
        pieces.append(last.output.expandedDimensions(axis: 1))
        #expect(concatenated(pieces, axis: 1).isClose(to: whole.output, absolute: 1e-12))
        #expect(last.state.shape == [2, width - 1, 3] && last.state.isEqual(to: whole.state))
        #expect(layer(x).isEqual(to: whole.output))
    }

    @Test func recurrentLayersContinue() {
        let x: Tensor = Self.random(2, 7, 4)
        let gru: GRU = GRU(4, 3, layers: 2).to(dtype: .float64)
        let halves: [Tensor] = x.split(size: 4, axis: 1)
        let first: (output: Tensor, state: Tensor) = gru(halves[0], state: nil)
        #expect(gru(halves[1], state: first.state).output.isClose(to: gru(x).narrowed(axis: 1, start: 4, length: 3), absolute: 1e-12))
        let lstm: LSTM = LSTM(4, 3).to(dtype: .float64)
        let start: (output: Tensor, state: LSTM.State) = lstm(halves[0], state: nil)
        #expect(lstm(halves[1], state: start.state).output.isClose(to: lstm(x).narrowed(axis: 1, start: 4, length: 3), absolute: 1e-12))
        #expect(gru.namedParameters().map(\.name).contains("bias_hh_l1"))
    }

    @Test func tiedEmbeddingReadsItsRows() {
        let table: Embedding = Embedding(5, 4)
        let rows: Tensor = table(Tensor([3, 0], [2]))
        #expect(table.asLinear(rows).isClose(to: rows.matmul(table.weight.mT), absolute: 1e-6))
        let wanted: Tensor = stacked([3, 0].map { table.weight.selected(axis: 0, index: $0) })
        #expect(rows.isEqual(to: wanted))
    }

    @Test func paddingRowIsNotTrained() {
        let table: Embedding = Embedding(4, 3, paddingIndex: 1)
        let (_, found) = valueAndGrad(of: table) { table(Tensor([1, 2], [2])).sum() }
        #expect(found[0].sum(axis: 1).array(Float.self) == [0, 0, 3, 0])
    }

    @Test func hiddenWidthOfGatedFeedForwards() {
        #expect(GatedFeedForward.hiddenDimensions(for: 768) == 2048)
        #expect(GatedFeedForward.hiddenDimensions(for: 512) == 1536)
        #expect(GatedFeedForward.hiddenDimensions(for: 64, multiple: 16) == 176)
        #expect(SwiGLU(768).gateProjection.outputDimensions == 2048)
    }

    @Test func dropoutOfAnMLPFollowsTheMode() {
        let layer: MLP = MLP([6, 50, 2], dropout: 0.5)
        let x: Tensor = .ones([1, 6])
        #expect(!layer(x).isEqual(to: layer(x)))
        layer.train(false)
        #expect(layer(x).isEqual(to: layer(x)))
    }

    @Test func meanPoolSkipsPadding() {
        let x: Tensor = Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], [2, 2, 2])
        let mask: Tensor = Tensor([1, 1, 0, 0] as [Int], [2, 2])
        #expect(MeanPool()(x, mask: mask).array(Float.self) == [2, 3, 0, 0])
        #expect(MeanPool()(x).array(Float.self) == [2, 3, 6, 7])
    }

    @Test func l2NormalizationOf16BitNumbersSumsIn32() {
        let x: Tensor = Tensor.full([1, 1000], 300.0, dtype: .float16)
        let unit: Tensor = x.l2Normalized()
        #expect(unit.dtype == .float16)
        #expect(abs(unit.selected(axis: 1, index: 0).item(Double.self) - 1000.0.squareRoot() / 1000) < 1e-4)
    }

    @Test func sequentialIsReplacedByIndexInItsNames() {
        let model: Sequential = Sequential(Linear(2, 3), FunctionLayer { $0.relu() }, Residual(Linear(3, 3)))
        #expect(model.namedParameters().map(\.name) == ["0.weight", "0.bias", "2.layer.weight", "2.layer.bias"])
        #expect(model(.ones([1, 2])).shape == [1, 3])
    }
}

@Suite(.ownRandomNumbers) struct ModelFileTests {
    @Test func savedModelsComeBack() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("model.safetensors")
            let model: Sequential = Sequential(Linear(3, 4), BatchNorm(4), Linear(4, 2, bias: false))
            _ = model(.normal([8, 3]))
            try model.save(to: url, metadata: ["step": "3"])
            let other: Sequential = Sequential(Linear(3, 4), BatchNorm(4), Linear(4, 2, bias: false))
            try other.load(from: url)
            for (left, right) in zip(model.stateTensors(), other.stateTensors()) {
                #expect(left.0 == right.0 && left.1.isEqual(to: right.1))
            }
            #expect(try SafetensorsFile(url).metadata == ["step": "3"])
            let trained: Bool = other.parameters().allSatisfy(\.requiresGrad)
            #expect(trained)
        }
    }

    @Test func anotherModelsFileIsRefused() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("model.safetensors")
            try Linear(3, 4).save(to: url)
            let error: CheckpointDifference = try #require(throws: CheckpointDifference.self) {
                try Linear(3, 5, bias: false).load(from: url)
            }
            #expect(error.unexpected == ["bias"] && error.misshapen.map(\.name) == ["weight"])
            #expect(throws: SafetensorsError.self) { try Linear(3, 4).load(from: folder.appendingPathComponent("none.safetensors")) }
        }
    }
}
