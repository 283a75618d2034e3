import Foundation
import NN
import TestSupport
import Testing
import Torch

private final class Pair: Module {
    @ModuleInfo(key: "q_proj") var query: Linear
    @ModuleInfo(key: "layers") var layers: [Linear]
    @ModuleInfo var named: [String: Linear]
    @ModuleInfo var spare: Linear?
    let fixed: Linear = Linear(4, 4)

    override init() {
        super.init()
        query = Linear(4, 6)
        layers = [Linear(6, 5, bias: false), Linear(5, 3)]
        named = ["a": Linear(3, 3)]
        spare = Linear(3, 2)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { spare!(named["a"]!(layers[1](layers[0](query(x))))) }
}

@Suite(.ownRandomNumbers) struct LoRATests {
    private let x: Tensor = .normal([7, 4], dtype: .float64, generator: RandomGenerator(seed: 3))

    private func model() -> Pair { Pair().to(dtype: .float64) }

    /// Adapted at two places, with corrections that are not zero.
    private func adapted() throws -> Pair {
        let model: Pair = model()
        applyLoRA(to: model, try LoRAConfiguration(rank: 2, alpha: 6)) { $0 == "q_proj" || $0 == "layers.1" }
        for (_, layer) in model.adaptedLayers {
            noGrad { layer.up.copy_(from: .normal(layer.up.shape, dtype: .float64, generator: RandomGenerator(seed: 9))) }
        }
        return model
    }

    @Test func aNewAdapterChangesNothing() throws {
        let model: Pair = model()
        let (before, names): (Tensor, [String]) = (model(x), model.namedParameters().map(\.name))
        let weight: Tensor = model.query.weight
        let paths: [String] = applyLoRA(to: model, try LoRAConfiguration(rank: 2)) { $0 != "fixed" }
        #expect(paths == ["q_proj", "layers.0", "layers.1", "named.a", "spare"])
        #expect(model(x).isEqual(to: before))
        #expect(model.query.weight === weight)
        #expect(model.namedParameters().map(\.name).filter { !LoRALinear.isAdapter($0) } == names)
        let trained: [String] = model.namedParameters().filter { $0.tensor.requiresGrad }.map(\.name)
        #expect(trained.count == 10 && trained.allSatisfy(LoRALinear.isAdapter))
    }

    @Test func theCorrectionIsOfLowRankAndScaled() throws {
        let model: Pair = try adapted()
        let layer: LoRALinear = try #require(model.query as? LoRALinear)
        let expected: Tensor = layer.weight + layer.up.matmul(layer.down) * 3
        #expect(layer(x).isClose(to: linear(x, weight: expected, bias: layer.bias), relative: 1e-12, absolute: 1e-12))
    }

    @Test func mergedAndFusedComputeTheSame() throws {
        let model: Pair = try adapted()
        let (separate, stored): (Tensor, Tensor) = (model(x), model.query.weight.cloned())
        model.mergeLoRA()
        #expect(model(x).isClose(to: separate, relative: 1e-12, absolute: 1e-12))
        #expect(!model(x).isEqual(to: Pair().to(dtype: .float64)(x)))
        model.unmergeLoRA()
        #expect(model(x).isEqual(to: separate) && model.query.weight.isEqual(to: stored))
        model.fuseLoRA()
        #expect(model.adaptedLayers.isEmpty && model(x).isClose(to: separate, relative: 1e-12, absolute: 1e-12))
        #expect(!model.query.weight.isEqual(to: stored))
    }

    @Test func gradientsReachTheFactorsAlone() throws {
        let model: Pair = try adapted()
        let (factors, base): ([Tensor], Tensor) = (model.trainableParameters(), model.query.weight)
        try gradientCheck([model.adaptedLayers[0].layer.down.detached()]) { inputs in
            model.adaptedLayers[0].layer.down.replace(with: inputs[0])
            return [model(x)]
        }
        #expect(factors.count == 4 && !base.requiresGrad)
    }

    @Test func adaptersAreFilesOfTheirOwn() throws {
        let model: Pair = try adapted()
        try TestPaths.withTemporaryFolder { folder in
            try LoRAFiles.save(adaptersOf: model, to: folder)
            #expect(LoRAFiles.exist(in: folder))
            let names: [String] = try SafetensorsFile(folder.appendingPathComponent("adapter_model.safetensors")).names
            #expect(names.sorted().first == "base_model.model.layers.1.lora_A.weight" && names.count == 4)
            let other: Pair = self.model()
            other.update(parameters: Dictionary(uniqueKeysWithValues: model.namedParameters().filter { !LoRALinear.isAdapter($0.name) }))
            try LoRAFiles.load(into: other, from: folder)
            #expect(other(x).isClose(to: model(x), relative: 1e-12, absolute: 1e-12))
            try LoRAFiles.remove(from: folder)
            #expect(!LoRAFiles.exist(in: folder))
        }
    }

    /// PEFT writes the ends of paths; a rank that the weights do not have, and kinds that are not known, are told.
    @Test func unfitAdaptersAreErrorsOfOneLine() throws {
        let model: Pair = try adapted()
        try TestPaths.withTemporaryFolder { folder in
            try LoRAFiles.save(adaptersOf: model, to: folder)
            let cases: [(json: String, part: String)] = [
                (#"{"peft_type": "IA3", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"]}"#, "only LORA"),
                (#"{"peft_type": "LORA", "r": 0, "lora_alpha": 6, "target_modules": ["q_proj"]}"#, "at least 1"),
                (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["elsewhere"]}"#, "none of its target modules"),
                (#"{"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "layers.1"]}"#, "do not fit 2 adapters"),
                (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"]}"#, "do not fit 1 adapters"),
                (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6, "use_dora": true, "target_modules": ["q_proj"]}"#, "not supported"),
                ("[]", "no adapter's configuration"),
            ]
            for (json, part) in cases {
                try Data(json.utf8).write(to: folder.appendingPathComponent("adapter_config.json"))
                let error: ConfigurationError? = #expect(throws: ConfigurationError.self) {
                    try LoRAFiles.load(into: self.model(), from: folder)
                }
                #expect(error?.description.contains(part) == true, "\(json): \(error?.description ?? "")")
                #expect(error?.description.contains("\n") == false)
            }
        }
        #expect(throws: ConfigurationError.self) { try LoRAFiles.save(adaptersOf: self.model(), to: URL(fileURLWithPath: "/nowhere")) }
    }
}

@Suite(.ownRandomNumbers) struct RotaryScalingTests {
    private func frequencies(_ scaling: RotaryScaling?) -> [Double] {
        rotaryAngles(positions: Tensor([1.0]), theta: 500_000, rotaryDimensions: 64, scaling: scaling).flattened().array()
    }

    @Test func linearDividesTheAngles() {
        #expect(zip(frequencies(.linear(factor: 4)), frequencies(nil)).allSatisfy { abs($0 * 4 - $1) < 1e-15 })
    }

    /// The three cases as Llama 3.1's description has them, by wavelength.
    @Test func llama3StretchesTheLongWaves() {
        let (factor, low, high, context): (Double, Double, Double, Double) = (8, 1, 4, 8192)
        let expected: [Double] = frequencies(nil).map { frequency in
            let wavelength: Double = 2 * Double.pi / frequency
            if wavelength < context / high { return frequency }
            if wavelength > context / low { return frequency / factor }
            let smooth: Double = (context / wavelength - low) / (high - low)
            return (1 - smooth) * frequency / factor + smooth * frequency
        }
        let scaling: RotaryScaling = .llama3(factor: factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext: 8192)
        let found: [Double] = frequencies(scaling)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-14 * $1 })
        #expect(Set(zip(found, frequencies(nil)).map { ($0 / $1 * 1000).rounded() }).count > 2, "all three cases occur")
    }
}
