import NN
import TestSupport
import Testing
import Torch

private final class Block: Module {
    let first: Linear = Linear(2, 3)
    @ParameterInfo(key: "A_log") var decay: Tensor
    @Buffer var statistics: Tensor = Tensor.zeros([3])
    let scale: Tensor?

    init(scaled: Bool) {
        scale = scaled ? Tensor.ones([3]) : nil
        super.init()
        decay = Tensor.zeros([3])
    }
}

private final class Model: Module {
    @ModuleInfo(key: "layers") var blocks: [Block] = [Block(scaled: true), Block(scaled: false)]
    let heads: [String: Linear] = ["b": Linear(3, 1, bias: false), "a": Linear(3, 2)]
    let width: Int = 3
    weak var parent: Module?
}

@Suite(.ownRandomNumbers) struct ModuleTests {
    @Test func parametersAreFoundByNameInOrder() {
        let names: [String] = Model().namedParameters().map(\.name)
        #expect(
            names == [
                "layers.0.A_log", "layers.0.scale", "layers.0.first.weight", "layers.0.first.bias", "layers.1.A_log",
                "layers.1.first.weight",
                "layers.1.first.bias", "heads.a.weight", "heads.a.bias", "heads.b.weight",
            ])
        #expect(Model().namedBuffers().map(\.name) == ["layers.0.statistics", "layers.1.statistics"])
    }

    @Test func freezingStopsGradients() {
        let model: Model = Model()
        #expect(model.trainableParameters().count == 10)
        model.freeze { $0.hasPrefix("layers.0") }
        #expect(model.trainableParameters().count == 6)
        model.unfreeze()
        #expect(model.trainableParameters().count == 10)
    }

    @Test func applyKeepsIdentityAndTraining() {
        let layer: Linear = Linear(2, 2)
        let before: Tensor = layer.weight
        layer.freeze { $0 == "bias" }
        layer.to(dtype: .float64)
        #expect(layer.weight === before)
        #expect(layer.weight.dtype == .float64 && layer.weight.requiresGrad)
        #expect(layer.bias?.requiresGrad == false)
    }

    @Test func strictLoadingChangesNothingWhenItThrows() throws {
        let layer: Linear = Linear(2, 2)
        let before: [Float] = layer.weight.array()
        let wrong: [String: Tensor] = ["weight": .ones([2, 2]), "bias": .ones([3]), "extra": .ones([1])]
        let error: CheckpointDifference = try #require(throws: CheckpointDifference.self) { try layer.load(wrong) }
        #expect(error.unexpected == ["extra"] && error.misshapen.map(\.name) == ["bias"] && error.missing.isEmpty)
        #expect(error.description.contains("bias (model [2], checkpoint [3])"))
        #expect(layer.weight.array() == before)
        try layer.load(wrong, mode: .lenient)
        #expect(layer.weight.array(Float.self) == [1, 1, 1, 1])
    }

    @Test func replacingASubmoduleIsSeen() {
        let model: Model = Model()
        model.blocks = [Block(scaled: false)]
        #expect(model.namedParameters().map(\.name).filter { $0.hasPrefix("layers") }.count == 3)
    }

    @Test func gradientsReachEveryParameter() {
        let layer: Linear = Linear(2, 1)
        let (value, gradients) = valueAndGrad(of: layer) { layer(Tensor([1, 2] as [Float], [1, 2])).sum() }
        #expect(value.shape == [])
        #expect(gradients.map { $0.array(Float.self) } == [[1, 2], [1]])
    }
}

private final class Collections: Module {
    let list: [Tensor] = [.zeros([2]), .ones([1])]
    @ParameterInfo(key: "") var table: [String: Tensor] = ["b": .ones([1]), "a": .zeros([1])]
    let none: [Tensor] = []
}

@Suite(.ownRandomNumbers) struct TensorCollectionTests {
    @Test func arraysAndDictionariesOfTensorsAreParameters() {
        let model: Collections = Collections()
        #expect(model.namedParameters().map(\.name) == ["list.0", "list.1", "a", "b"])
        let trained: Bool = model.parameters().allSatisfy(\.requiresGrad)
        #expect(trained)
        #expect(model.directParameters().count == 4)
    }
}
