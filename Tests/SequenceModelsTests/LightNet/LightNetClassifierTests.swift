import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct LightNetClassifierTests {
    private func model(_ mixing: PatchMixing, positions: Bool = true) throws -> LightNetClassifier {
        let model: LightNetClassifier = LightNetClassifier(
            try LightNetClassifierConfiguration(
                channels: 2, side: 12, patch: 4, classes: 5, dimensions: 16, layers: 2, heads: 2, mixing: mixing, positions: positions))
        model.to(dtype: .float64)
        return model
    }

    /// The patches of an image in another order.
    private func shuffled(_ images: Tensor) -> Tensor {
        let patches: Tensor = images.reshaped(images.dim(0), 2, 3, 4, 3, 4).transposed(0, 2, 4, 1, 3, 5).flattened(from: 1, to: 2)
        let order: Tensor = patches[0..., [4, 2, 7, 0, 8, 1, 3, 6, 5]]
        return order.reshaped(images.dim(0), 3, 3, 2, 4, 4).transposed(0, 3, 1, 4, 2, 5).reshaped(images.shape)
    }

    @Test func withoutPositionsTheOrderOfPatchesIsInvisible() throws {
        let images: Tensor = normal([3, 2, 12, 12])
        for (mixing, positions, visible) in [
            (PatchMixing.additive, false, false), (.additive, true, true), (.gated(scans: 1), false, true), (.gated(scans: 4), false, true),
        ] {
            let model: LightNetClassifier = try model(mixing, positions: positions)
            let difference: Double = relativeError(model(shuffled(images)), model(images))
            #expect(visible ? difference > 1e-6 : difference < 1e-10, "\(mixing), positions \(positions): \(difference)")
        }
    }

    @Test(arguments: [PatchMixing.additive, .gated(scans: 1), .gated(scans: 2), .gated(scans: 4)]) func itLearns(mixing: PatchMixing) throws
    {
        let model: LightNetClassifier = try model(mixing)
        let images: Tensor = normal([4, 2, 12, 12])
        let labels: Tensor = Tensor([0, 1, 2, 3], [4], dtype: .int64, device: images.device)
        #expect(model(images).shape == [4, 5])
        func loss() -> Tensor { crossEntropy(model(images), labels) }
        let before: Double = loss().item()
        for _ in 0..<40 {
            let (_, gradients): (Tensor, [Tensor]) = valueAndGrad(of: model) { loss() }
            noGrad { for (parameter, gradient) in zip(model.trainableParameters(), gradients) { parameter.subtract_(gradient * 0.3) } }
        }
        #expect(loss().item(Double.self) < before - 0.3)
    }

    @Test func scansShareTheirWeights() throws {
        let counts: [Int] = try [1, 2, 4].map { try model(.gated(scans: $0)).parameterCount }
        #expect(Set(counts).count == 1)
    }

    @Test func paperSizes() throws {
        let small: LightNetClassifierConfiguration = try .deit(dimensions: 384)
        #expect(small.heads == 3 && small.layers == 12 && small.gridShape == [14, 14])
        #expect(try LightNetClassifierConfiguration.deit(dimensions: 192).heads == 1)
    }

    @Test func wrongSettingsAreNamed() {
        func complaint(side: Int = 12, heads: Int = 2, classes: Int = 5, mixing: PatchMixing = .additive) -> String {
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) {
                try LightNetClassifierConfiguration(
                    channels: 1, side: side, patch: 4, classes: classes, dimensions: 16, layers: 1, heads: heads, mixing: mixing)
            }
            return error.map { "\($0)" } ?? ""
        }
        #expect(complaint(side: 14).contains("model.patch is 4; it has to divide model.side, which is 14"))
        #expect(complaint(heads: 3).contains("model.heads is 3"))
        #expect(complaint(classes: 1).contains("model.classes is 1"))
        #expect(complaint(mixing: .gated(scans: 3)).contains("scans 3 times"))
    }
}
