import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// Small diffusion transformers for tests.
enum SmallDiT {
    static func configuration(
        _ attention: DiTAttention = .linear, heads: Int = 2, kernel: Int? = 3, depth: Int = 2
    ) throws -> DiTConfiguration {
        try DiTConfiguration(
            imageSize: 6, patchSize: 2, channels: 3, classes: 4, dimensions: 8, depth: depth, heads: heads, attention: attention,
            kernel: kernel)
    }

    /// With random weights everywhere, also where a new model has zeros.
    static func random(_ configuration: DiTConfiguration, seed: UInt64 = 1, dtype: DType = .float64) throws -> DiT {
        let model: DiT = try DiT(configuration)
        model.to(dtype: dtype)
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
        noGrad {
            for (_, parameter) in model.namedParameters() {
                let noise: Tensor = .normal(parameter.shape, dtype: .float64, device: .cpu, generator: generator)
                parameter.copy_(from: noise * 0.3)
            }
        }
        return model.train(false)
    }

    static func input(dtype: DType = .float64) -> (noisy: Tensor, steps: Tensor, labels: Tensor) {
        let noisy: Tensor = .normal([3, 3, 6, 6], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 4, device: .cpu))
        return (noisy.asType(dtype), Tensor([0, 17, 999]), Tensor([2, 0, 4]))
    }
}

@Suite(.ownRandomNumbers) struct DiTTests {
    @Test(arguments: DiTAttention.allCases) func aNewModelGivesZeroAndItsBlocksNothing(attention: DiTAttention) throws {
        let model: DiT = try DiT(try SmallDiT.configuration(attention))
        let (noisy, steps, labels) = SmallDiT.input(dtype: .float32)
        let output: NoisePrediction = model(noisy, steps: steps, labels: labels)
        #expect(output.noise.shape == noisy.shape && output.variance.shape == noisy.shape)
        #expect(output.noise.countNonzero().item(Int.self) == 0 && output.variance.countNonzero().item(Int.self) == 0)
        let (x, condition): (Tensor, Tensor) = (.normal([2, 9, 8]), .normal([2, 8]))
        for block in model.blocks { #expect(block(x, condition: condition).isEqual(to: x)) }
        let names: [String] = model.stateTensors().map(\.0)
        for name in [
            "x_embedder.proj.weight", "t_embedder.mlp.0.weight", "t_embedder.mlp.2.bias", "y_embedder.embedding_table.weight", "pos_embed",
            "blocks.1.attn.qkv.weight", "blocks.1.attn.proj.bias", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.bias",
            "blocks.0.adaLN_modulation.1.weight", "final_layer.linear.weight", "final_layer.adaLN_modulation.1.bias",
        ] {
            #expect(names.contains(name), "\(name)")
        }
        #expect(names.contains("blocks.0.attn.dwc.weight") == (attention == .linear))
    }

    /// Written again in Python, by the checkpoint's names.
    @Test(
        .enabled(if: PythonPeer.has("torch", "safetensors"), "needs torch and safetensors in $LINNET_PYTHON"),
        arguments: DiTAttention.allCases)
    func agreesWithPython(attention: DiTAttention) throws {
        let model: DiT = try SmallDiT.random(try SmallDiT.configuration(attention))
        let (noisy, steps, labels) = SmallDiT.input()
        try TestPaths.withTemporaryFolder { folder in
            let (input, output): (URL, URL) = (folder.appendingPathComponent("in.safetensors"), folder.appendingPathComponent("out"))
            var tensors: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.stateTensors())
            (tensors["x"], tensors["t"], tensors["y"]) = (noisy, steps, labels)
            try saveTensors(tensors, to: input)
            try PythonPeer.run(DiTReference.script, input.path, output.path, "2", attention.rawValue)
            let expected: [String: Tensor] = try loadTensors(output)
            let found: NoisePrediction = model(noisy, steps: steps, labels: labels)
            #expect(relativeError(found.noise, try #require(expected["noise"])) < 1e-9)
            #expect(relativeError(found.variance, try #require(expected["variance"])) < 1e-9)
            #expect(scaledError(model.positions, try #require(expected["positions"])) < 1e-6)
        }
    }

    @Test func linearAndExplicitFormsAgree() throws {
        let model: DiT = try SmallDiT.random(try SmallDiT.configuration())
        let (noisy, steps, labels) = SmallDiT.input()
        let linear: Tensor = model(noisy, steps: steps, labels: labels).noise
        #expect(relativeError(model(noisy, steps: steps, labels: labels, mode: .parallel).noise, linear) < 1e-10)
    }

    @Test func gradients() throws {
        let model: DiT = try SmallDiT.random(
            try DiTConfiguration(imageSize: 4, channels: 1, classes: 2, dimensions: 4, depth: 1, heads: 2, attention: .linear, kernel: 3))
        let x: Tensor = .normal([1, 1, 4, 4], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 6, device: .cpu))
        try gradientCheck([x]) { inputs in
            let output: NoisePrediction = model(inputs[0], steps: Tensor([40]), labels: Tensor([1]))
            return [output.noise, output.variance]
        }
    }

    @Test func guidanceOfOneIsTheConditionalModel() throws {
        let model: DiT = try SmallDiT.random(try SmallDiT.configuration(), dtype: .float32)
        func draw(_ guidance: Double) -> Tensor {
            model.sample(labels: [0, 3], steps: 4, guidance: guidance, generator: RandomGenerator(seed: 3))
        }
        let diffusion: GaussianDiffusion = GaussianDiffusion().respaced(4)
        let plain: Tensor = diffusion.sample(
            { model($0, steps: $1, labels: $2) }, labels: Tensor([0, 3]), imageShape: [3, 6, 6], generator: RandomGenerator(seed: 3)
        ).clamped(-1, 1)
        #expect(draw(1).isEqual(to: plain))
        #expect(!draw(2).isEqual(to: plain))
        #expect(draw(2).abs().max().item(Double.self) <= 1)
    }

    @Test func aTenthOfTheLabelsIsDropped() throws {
        let model: DiT = try DiT(try SmallDiT.configuration())
        let labels: Tensor = .zeros([20_000], dtype: .int64)
        let dropped: Tensor = model.droppingLabels(labels, generator: RandomGenerator(seed: 1))
        let share: Double = (dropped .== 4).asType(.float64).mean().item()
        #expect(abs(share - 0.1) < 0.01)
        #expect(((dropped .== 4) .|| (dropped .== 0)).all().item(Bool.self))
    }

    @Test func configurationsAreChecked() throws {
        func complaint(_ change: (inout DiTConfiguration) -> Void) -> String {
            do {
                var configuration: DiTConfiguration = try SmallDiT.configuration()
                change(&configuration)
                _ = try DiT(configuration)
                return "none"
            } catch { return "\(error)" }
        }
        #expect(complaint { _ in } == "none")
        #expect(complaint { $0.patchSize = 4 }.contains("patches of 4 pixels"))
        #expect(complaint { $0.dimensions = 6 }.contains("multiple of 4"))
        #expect(complaint { $0.heads = 3 }.contains("3 heads"))
        #expect(complaint { $0.kernel = 4 }.contains("model.kernel is 4"))
        #expect(complaint { $0.depth = 0 }.contains("model.depth is 0"))
        #expect(complaint { $0.labelDropout = 1 }.contains("labelDropout"))
        #expect(complaint { $0.diffusionSteps = 20 }.contains("at least 21"))
    }

    @Test func foldersGiveTheModelBack() throws {
        let model: DiT = try SmallDiT.random(try SmallDiT.configuration(), dtype: .float32)
        try TestPaths.withTemporaryFolder { folder in
            try model.write(to: folder)
            let read: DiT = try DiT.read(from: folder)
            #expect(read.configuration == model.configuration && !read.isTraining)
            let (noisy, steps, labels) = SmallDiT.input(dtype: .float32)
            #expect(read(noisy, steps: steps, labels: labels).noise.isEqual(to: model(noisy, steps: steps, labels: labels).noise))
            let file: URL = folder.appendingPathComponent("config.json")
            try Data("{}".utf8).write(to: file)
            #expect(throws: DataFormatError.self) { try DiT.read(from: folder) }
            try JSONEncoder().encode(try SmallDiT.configuration(depth: 3)).write(to: file)
            #expect(throws: CheckpointDifference.self) { try DiT.read(from: folder) }
            try FileManager.default.removeItem(at: folder.appendingPathComponent("model.safetensors"))
            #expect(throws: DataFormatError.self) { try DiT.read(from: folder) }
        }
    }
}
