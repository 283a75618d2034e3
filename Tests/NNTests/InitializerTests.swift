import Foundation
import NN
import TestSupport
import Testing
import Torch

struct InitializerTests {
    /// Each with the standard deviation of `[10, 20, 3]`, whose fans are 60 in and 30 out.
    private static let spreads: [(Initializer, Double)] = [
        (.xavierUniform(gain: 2), 2 * (2.0 / 90.0).squareRoot()),
        (.xavierNormal(), (2.0 / 90.0).squareRoot()),
        (.kaimingUniform(), (2.0 / 60.0).squareRoot()),
        (.kaimingNormal(gain: 1, fan: .output), (1.0 / 30.0).squareRoot()),
        (.uniform(low: -3, high: 3), 3.0.squareRoot()),
        (.normal(standardDeviation: 0.5), 0.5),
        (.truncatedNormal(standardDeviation: 2, lowest: -100, highest: 100), 2),
    ]

    @Test(arguments: spreads)
    func hasTheRightSpread(_ initializer: Initializer, _ deviation: Double) {
        let generator: RandomGenerator = RandomGenerator(seed: 1)
        let draws: [Tensor] = (0..<40).map { _ in initializer([10, 20, 3], dtype: .float64, generator: generator) }
        let all: Tensor = stacked(draws)
        #expect(abs(all.standardDeviation().item(Double.self) / deviation - 1) < 0.02)
        #expect(abs(all.mean().item(Double.self)) < 0.03 * deviation)
    }

    @Test func orthogonalRowsOrColumns() {
        let wide: Tensor = Initializer.orthogonal(gain: 3)([4, 3, 2], dtype: .float64, generator: RandomGenerator(seed: 2)).reshaped(4, 6)
        #expect(wide.matmul(wide.mT).isClose(to: .eye(4, dtype: .float64) * 9, absolute: 1e-12))
        let tall: Tensor = Initializer.orthogonal()([6, 4], dtype: .float64, generator: RandomGenerator(seed: 2))
        #expect(tall.mT.matmul(tall).isClose(to: .eye(4, dtype: .float64), absolute: 1e-12))
    }

    @Test func truncatedNormalStaysInside() {
        let values: Tensor = Initializer.truncatedNormal(mean: 1, standardDeviation: 2, lowest: 0, highest: 2)(
            [20_000], dtype: .float64, generator: RandomGenerator(seed: 3))
        #expect(values.min().item(Double.self) >= 0 && values.max().item(Double.self) <= 2)
        // Half a standard deviation to both sides: the density is nearly flat there, so the spread is nearly 2/√12.
        #expect(abs(values.standardDeviation().item(Double.self) - 0.5677) < 0.01)
    }

    @Test func oneGeneratorGivesOneModel() {
        func weights() -> [Tensor] { MLP([3, 4, 2], generator: RandomGenerator(seed: 9)).parameters() }
        let same: Bool = zip(weights(), weights()).allSatisfy { $0.isEqual(to: $1) }
        #expect(same)
    }

    @Test func initializeNormalTouchesLinearAndEmbedding() {
        let norm: LayerNorm = LayerNorm(64)
        let table: Embedding = Embedding(50, 64, paddingIndex: 3)
        let model: Sequential = Sequential(table, Linear(64, 64), norm)
        norm.update(parameters: ["bias": .ones([64])])
        model.initializeNormal(generator: RandomGenerator(seed: 4))
        let parameters: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.namedParameters().map { ($0.name, $0.tensor) })
        for name in ["0.weight", "1.weight"] {
            #expect(abs(parameters[name]!.detached().standardDeviation().item(Double.self) - 0.02) < 0.001, "\(name)")
        }
        #expect(parameters["1.bias"]!.countNonzero().item(Int.self) == 0)
        #expect(table.weight.selected(axis: 0, index: 3).countNonzero().item(Int.self) == 0)
        #expect(parameters["2.bias"]!.sum().item(Double.self) == 64)
        let trained: Bool = model.parameters().allSatisfy(\.requiresGrad)
        #expect(trained)
    }
}

/// With the same seed, torch's layers and Linnet's start the same.
@Suite(
    .ownRandomNumbers,
    .enabled(if: TorchReference.isAvailable, "needs the Python packages torch and safetensors: make test installs them"), .serialized
)
struct TorchInitializationTests {
    private static let script: String = """
        import sys, torch, torch.nn as nn
        from safetensors.torch import save_file
        layers = {
            "linear": lambda: nn.Linear(5, 3), "embedding": lambda: nn.Embedding(7, 4), "conv1d": lambda: nn.Conv1d(4, 6, 3, groups=2),
            "conv2d": lambda: nn.Conv2d(4, 6, (3, 2)), "conv_transposed1d": lambda: nn.ConvTranspose1d(4, 6, 3, groups=2),
            "conv_transposed2d": lambda: nn.ConvTranspose2d(4, 6, 3), "gru": lambda: nn.GRU(4, 3, 2, bidirectional=True),
            "lstm": lambda: nn.LSTM(4, 3), "batch_norm": lambda: nn.BatchNorm1d(4), "layer_norm": lambda: nn.LayerNorm(4),
            "group_norm": lambda: nn.GroupNorm(2, 4), "rms_norm": lambda: nn.RMSNorm(4), "prelu": lambda: nn.PReLU(2),
            "short": lambda: nn.Conv1d(4, 4, 3, groups=4),
        }
        fills = {
            "xavier_uniform": nn.init.xavier_uniform_, "xavier_normal": nn.init.xavier_normal_,
            "kaiming_uniform": lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"),
            "kaiming_normal": lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
            "orthogonal": lambda t: nn.init.orthogonal_(t, gain=1.5), "uniform": lambda t: nn.init.uniform_(t, -2, 3),
            "normal": lambda t: nn.init.normal_(t, 1, 2),
        }
        saved = {}
        for name, make in layers.items():
            torch.manual_seed(5)
            for key, t in make().state_dict().items(): saved[f"{name}/{key}"] = t.clone()
        for name, fill in fills.items():
            torch.manual_seed(5)
            saved[f"fill/{name}"] = fill(torch.empty(4, 3, 2))
        save_file(saved, sys.argv[1])
        """

    private static func reference() throws -> [String: Tensor] {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("initial.safetensors")
            try PythonPeer.run(script, url.path)
            return try loadTensors(url)
        }
    }

    private static let layers: [(String, @Sendable () -> Module)] = [
        ("linear", { Linear(5, 3, generator: seeded()) }), ("embedding", { Embedding(7, 4, generator: seeded()) }),
        ("conv1d", { Conv1d(4, 6, kernelSize: 3, groups: 2, generator: seeded()) }),
        ("conv2d", { Conv2d(4, 6, kernelSize: Pair(3, 2), generator: seeded()) }),
        ("conv_transposed1d", { ConvTransposed1d(4, 6, kernelSize: 3, groups: 2, generator: seeded()) }),
        ("conv_transposed2d", { ConvTransposed2d(4, 6, kernelSize: 3, generator: seeded()) }),
        ("gru", { GRU(4, 3, layers: 2, bidirectional: true, generator: seeded()) }), ("lstm", { LSTM(4, 3, generator: seeded()) }),
        ("batch_norm", { BatchNorm(4) }), ("layer_norm", { LayerNorm(4) }), ("group_norm", { GroupNorm(groupCount: 2, 4) }),
        ("rms_norm", { RMSNorm(4) }), ("prelu", { PReLU(2) }),
        ("short", { ShortConvolution(4, width: 3, bias: true, generator: seeded()) }),
    ]

    private static let fills: [(String, Initializer)] = [
        ("xavier_uniform", .xavierUniform()), ("xavier_normal", .xavierNormal()), ("kaiming_uniform", .kaimingUniform()),
        ("kaiming_normal", .kaimingNormal(fan: .output)), ("orthogonal", .orthogonal(gain: 1.5)), ("uniform", .uniform(low: -2, high: 3)),
        ("normal", .normal(mean: 1, standardDeviation: 2)),
    ]

    private static func seeded() -> RandomGenerator { RandomGenerator(seed: 5, device: .cpu) }

    @Test func layersAndFillsStartAsTorchs() throws {
        let reference: [String: Tensor] = try Self.reference()
        for (name, make) in Self.layers {
            let state: [(String, Tensor)] = make().stateTensors()
            let expectedNames: Set<String> = Set(reference.keys.filter { $0.hasPrefix("\(name)/") })
            #expect(Set(state.map { "\(name)/\($0.0)" }) == expectedNames)
            for (key, tensor) in state {
                let expected: Tensor = try #require(reference["\(name)/\(key)"])
                #expect(tensor.shape == expected.shape && tensor.isClose(to: expected, relative: 1e-6, absolute: 1e-7), "\(name) \(key)")
            }
        }
        for (name, fill) in Self.fills {
            let expected: Tensor = try #require(reference["fill/\(name)"])
            #expect(fill([4, 3, 2], generator: Self.seeded()).isClose(to: expected, relative: 1e-5, absolute: 1e-6), "\(name)")
        }
    }
}

struct DropoutTests {
    @Test func zeroesTheShareAndKeepsTheMean() {
        let layer: Dropout = Dropout(0.3)
        let output: Tensor = layer(.ones([40_000]))
        let kept: Tensor = output .!= 0
        #expect(abs(kept.asType(.float64).mean().item(Double.self) - 0.7) < 0.015)
        #expect(output.max().isClose(to: Tensor(Float(1 / 0.7))))
        layer.train(false)
        #expect(layer(.ones([10])).isEqual(to: .ones([10])))
    }
}
