import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct GPTQTests {
    /// A weight and the second moments of correlated inputs.
    private func problem(_ rows: Int, _ columns: Int, seed: UInt64) -> (weight: Tensor, hessian: Tensor) {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        let weight: Tensor = .normal([rows, columns], dtype: .float64, generator: generator)
        let mixing: Tensor = .normal([columns, columns], dtype: .float64, generator: generator)
        let inputs: Tensor = Tensor.normal([3 * columns, columns], dtype: .float64, generator: generator).matmul(mixing)
        return (weight, inputs.mT.matmul(inputs) * (2 / Double(3 * columns)))
    }

    /// tr((W − Ŵ) H (W − Ŵ)ᵀ)
    private func loss(_ matrix: QuantizedMatrix, _ weight: Tensor, _ hessian: Tensor) -> Double {
        let error: Tensor = matrix.dequantized(dtype: .float64) - weight
        return (error.matmul(hessian) * error).sum().item(Double.self)
    }

    @Test(arguments: [false, true]) func withUncorrelatedInputsItRoundsToNearest(actOrder: Bool) throws {
        let weight: Tensor = .normal([9, 150], dtype: .float64, generator: RandomGenerator(seed: 1))
        let gptq: GPTQ = try GPTQ(bits: 3, groupSize: 32, actOrder: actOrder)
        let found: QuantizedMatrix = try gptq.quantize(weight, hessian: .eye(150, dtype: .float64))
        let expected: QuantizedMatrix = gptq.groups.quantize(weight)
        #expect(found.codes.isEqual(to: expected.codes) && found.scales.isEqual(to: expected.scales))
        #expect(found.zeros.isEqual(to: expected.zeros))
    }

    /// The columns one by one with the inverse of what remains of H, as optimal brain quantisation has it; groups of 48 cross the blocks of 128.
    @Test(arguments: [32, 48]) func itIsTheNaiveLoopWithExplicitInverses(groupSize: Int) throws {
        let (weight, hessian): (Tensor, Tensor) = problem(5, 160, seed: 2)
        let gptq: GPTQ = try GPTQ(bits: 3, groupSize: groupSize)
        let found: QuantizedMatrix = try gptq.quantize(weight, hessian: hessian)
        let damped: Tensor = hessian + Tensor.eye(160, dtype: .float64) * (hessian.diagonal().mean() * gptq.damping)
        let current: Tensor = weight.cloned()
        var (scale, zero): (Tensor, Tensor) = (.zeros([1]), .zeros([1]))
        for column in 0..<160 {
            if column % groupSize == 0 {
                let size: Int = min(groupSize, 160 - column)
                (scale, zero) = gptq.groups.parameters(of: current.narrowed(axis: 1, start: column, length: size))
            }
            let rest: Int = 160 - column
            let inverse: Tensor = damped.narrowed(axis: 0, start: column, length: rest).narrowed(axis: 1, start: column, length: rest)
                .inverse()
            let values: Tensor = current.narrowed(axis: 1, start: column, length: 1)
            let code: Tensor = gptq.groups.codes(of: values, scale: scale, zero: zero)
            #expect(code.asType(.uint8).isEqual(to: found.codes.narrowed(axis: 1, start: column, length: 1)), "column \(column)")
            let loss: Tensor = (values - (code - zero) * scale) / inverse[0, 0]
            current.narrowed(axis: 1, start: column, length: rest).subtract_(loss.matmul(inverse.narrowed(axis: 0, start: 0, length: 1)))
        }
    }

    @Test(arguments: [false, true]) func itBeatsRoundingOnCorrelatedInputs(actOrder: Bool) throws {
        let gptq: GPTQ = try GPTQ(bits: 3, groupSize: 16, actOrder: actOrder)
        let wins: Int = try (0..<40).count { seed in
            let (weight, hessian): (Tensor, Tensor) = problem(8, 32, seed: UInt64(100 + seed))
            return loss(try gptq.quantize(weight, hessian: hessian), weight, hessian) <= loss(gptq.groups.quantize(weight), weight, hessian)
        }
        #expect(wins >= 38, "\(wins) of 40")
    }

    @Test func anInputThatIsAlwaysZeroGetsNoWeight() throws {
        let (weight, hessian): (Tensor, Tensor) = problem(4, 32, seed: 5)
        let live: Tensor = (Tensor.arange(32) .!= 7).asType(.float64)
        let found: QuantizedMatrix = try GPTQ(bits: 4, groupSize: 32).quantize(
            weight, hessian: hessian * live.reshaped(1, 32) * live.reshaped(32, 1))
        #expect(found.dequantized().narrowed(axis: 1, start: 7, length: 1).abs().max().item(Double.self) == 0)
    }

    @Test func secondMomentsThatAreOfNoUseAreAnError() throws {
        let hessian: Tensor = .full([16, 16], Double.nan, dtype: .float64)
        #expect(throws: ConfigurationError.self) { try GPTQ(groupSize: 16).quantize(.ones([2, 16]), hessian: hessian) }
    }
}

/// A whole model: which layers are quantised together, and on which inputs.
@Suite(.ownRandomNumbers) struct QuantizeTests {
    /// Rounds to nearest and keeps what it was given.
    private final class Spy: WeightQuantizer, @unchecked Sendable {
        var groups: GroupQuantizer
        var seen: [(shape: [Int], hessian: Tensor?)] = []
        let needsInputs: Bool = true

        init(_ groups: GroupQuantizer) { self.groups = groups }

        func quantize(_ weight: Tensor, hessian: Tensor?) throws -> QuantizedMatrix {
            seen.append((weight.shape, hessian))
            return groups.quantize(weight)
        }
    }

    private let tokens: Tensor = Tensor((0..<48).map { ($0 * $0 + 5 * $0) % 11 }, [4, 12])

    private func model() throws -> PlainTransformer {
        let model: PlainTransformer = PlainTransformer(
            try PlainTransformerConfiguration(vocabularySize: 11, dimensions: 32, layers: 2, heads: 2, maximumContext: 12),
            generator: RandomGenerator(seed: 4))
        // At the first weights a block hardly changes the stream.
        model.apply { $0 * 8 }
        return model.train(false)
    }

    @Test func layersWithOneInputAreQuantisedTogetherOnWhatTheQuantisedModelComputes() throws {
        let model: PlainTransformer = try model()
        let spy: Spy = Spy(try GroupQuantizer(bits: 2, groupSize: 32))
        try quantize(model, plan: BitPlan(bits: [2, 2]), using: spy, calibration: [tokens.narrowed(axis: 0, start: 0, length: 2), tokens])
        #expect(spy.seen.map(\.shape) == [[96, 32], [32, 32], [128, 32], [32, 128], [96, 32], [32, 32], [128, 32], [32, 128]])
        let stack: BlockStack = BlockStack(model)
        let inputs: [Tensor] = [tokens.narrowed(axis: 0, start: 0, length: 2), tokens].map { tokens in
            let stream: Tensor = stack.streams(tokens)[1]
            return noGrad { model.blocks[1].attentionNorm(stream) }.reshaped(-1, 32)
        }
        let x: Tensor = concatenated(inputs).asType(.float64)
        let expected: Tensor = x.mT.matmul(x) * (2 / Double(x.dim(0)))
        let found: Tensor = try #require(spy.seen[4].hessian)
        #expect(found.isClose(to: expected, relative: 1e-5, absolute: 1e-6))
        #expect(model.blockLinearMaps.allSatisfy { $0.layer is QuantizedLinear })
    }

    @Test func aReportHasTheBytesAndBitsOfThePlan() throws {
        let model: PlainTransformer = try model()
        let report: QuantizationReport = try quantize(model, plan: BitPlan(bits: [4, 2]), using: GroupQuantizer(groupSize: 32))
        #expect(report.choices.count == 12 && report.plan.averageBits == 3)
        #expect(report.choices.map(\.choice) == Array(repeating: "4 bits", count: 6) + Array(repeating: "2 bits", count: 6))
        let packed: Int = model.blockLinearMaps.compactMap { $0.layer as? QuantizedLinear }.reduce(0) { $0 + $1.byteCount }
        let weights: Int = 4 * 32 * 32 + 2 * 32 * 128
        #expect(report.bytesAfter == packed && report.bytesBefore == 8 * weights)
        // Zero points of one group are filled up to 16 codes here, so the bits are above the formula of long rows.
        #expect(report.effectiveBits > 3.59 && report.effectiveBits < 5)
        for case let layer as QuantizedLinear in model.blockLinearMaps.map(\.layer) where layer.inputDimensions == 128 {
            #expect(QuantizedLinear.bytes(of: layer, quantizer: layer.configuration) == layer.byteCount)
        }
    }

    @Test func weightsThatAreNotFiniteAreAnError() throws {
        let model: PlainTransformer = try model()
        model.update(parameters: ["blocks.1.feed_forward.expansion.weight": .full([128, 32], Double.infinity)])
        #expect(throws: ConfigurationError.self) { try quantize(model, plan: BitPlan(bits: [4, 4]), using: GroupQuantizer()) }
    }
}
