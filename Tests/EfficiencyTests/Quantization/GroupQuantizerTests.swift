import NN
import TestSupport
import Testing
import Torch

@testable import Efficiency

/// Rounding to nearest in groups, and packed codes.
@Suite(.ownRandomNumbers) struct GroupQuantizerTests {
    static func weight(_ rows: Int, _ columns: Int, seed: UInt64 = 3) -> Tensor {
        .normal([rows, columns], dtype: .float64, generator: RandomGenerator(seed: seed)) * 0.05
    }

    @Test(arguments: [2, 3, 4, 8], [5, 16, 40, 96]) func packedCodesAreTheCodes(bits: Int, count: Int) {
        var state: UInt64 = 9
        let values: [Int] = (0..<7 * count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % (1 << bits)
        }
        let codes: Tensor = Tensor(values, [7, count]).asType(.uint8)
        let bytes: Tensor = PackedCodes.pack(codes, bits: bits)
        #expect(bytes.shape == [7, PackedCodes.bytes(of: count, bits: bits)] && bytes.dtype == .uint8)
        #expect(PackedCodes.unpack(bytes, bits: bits, count: count).isEqual(to: codes))
    }

    @Test func eightCodesOfThreeBitsTakeThreeBytes() {
        let values: [Int] = [1, 2, 3, 4, 5, 6, 7, 0]
        let word: Int = values.indices.reduce(0) { $0 | values[$1] << (3 * $1) }
        let bytes: [UInt8] = [UInt8(word & 255), UInt8(word >> 8 & 255), UInt8(word >> 16), 0, 0, 0]
        #expect(PackedCodes.pack(Tensor(values, [1, 8]).asType(.uint8), bits: 3).array(UInt8.self) == bytes)
    }

    @Test(arguments: [2, 3, 4, 8], [32, 48]) func noWeightIsOffByMoreThanHalfAScale(bits: Int, groupSize: Int) throws {
        for scale in [1.0, 1e-4, 300] {
            // Groups with values of one sign, and some that span much more than others.
            let weight: Tensor = Self.weight(12, 100) * scale + Tensor.arange(12, dtype: .float64).reshaped(12, 1) * (0.02 * scale)
            let matrix: QuantizedMatrix = try GroupQuantizer(bits: bits, groupSize: groupSize).quantize(weight)
            let error: Tensor = (matrix.dequantized(dtype: .float64) - weight).abs()
            let half: Tensor = matrix.scales.asType(.float64).repeated(groupSize, axis: 1).narrowed(axis: 1, start: 0, length: 100) / 2
            #expect((error - half).max().item(Double.self) <= 1e-12 * scale)
            for group in 0..<matrix.scales.dim(1) {
                let width: Int = min(groupSize, 100 - group * groupSize)
                let row: [UInt8] = matrix.codes.narrowed(axis: 1, start: group * groupSize, length: width)[0].array()
                #expect(Set(row).count <= 1 << bits)
            }
        }
    }

    @Test(arguments: [0.0, 0.5, -0.25, 3.0]) func aGroupOfOneValueIsExact(value: Double) throws {
        let weight: Tensor = .full([3, 32], value, dtype: .float64)
        for bits in PackedCodes.widths {
            let matrix: QuantizedMatrix = try GroupQuantizer(bits: bits, groupSize: 32).quantize(weight)
            #expect(matrix.dequantized(dtype: .float64).isEqual(to: weight), "\(bits) bits")
        }
    }

    @Test func settingsOutOfRangeAreErrors() throws {
        #expect(throws: ConfigurationError.self) { try GroupQuantizer(bits: 5) }
        #expect(throws: ConfigurationError.self) { try GroupQuantizer(groupSize: 24) }
        #expect(throws: ConfigurationError.self) { try GroupQuantizer(groupSize: 0) }
        #expect(throws: ConfigurationError.self) { try GPTQ(damping: -1) }
        #expect(try GroupQuantizer(bits: 3, groupSize: 32).effectiveBits == 3 + 19.0 / 32)
    }
}

/// Packed layers: the two ways of multiplying, gradients, and bytes.
@Suite(.ownRandomNumbers, .serialized) struct QuantizedLinearTests {
    @Test(arguments: [2, 3, 4, 8], [16, 64, 100]) func bothWaysAgreeWithTheDecodedMatrix(bits: Int, inputs: Int) throws {
        let dense: Linear = Linear(inputs, 37)
        let layer: QuantizedLinear = QuantizedLinear(dense, quantizer: try GroupQuantizer(bits: bits, groupSize: 32))
        let decoded: Linear = Linear(weight: layer.matrix.dequantized(), bias: dense.bias)
        let before: String = FusedKernels.variant
        for variant in ["baseline", "avx2", "avx512"] where FusedKernels.use(variant: variant) {
            for rows in [1, 2, 3, 4, 5, 8, 11, 16, 17] {
                let x: Tensor = .normal([rows, inputs])
                let expected: Tensor = noGrad { decoded(x) }
                for fused in [false, true] {
                    let found: Tensor = FusedKernels.$isEnabled.withValue(fused) { noGrad { layer(x) } }
                    #expect(found.isClose(to: expected, relative: 1e-6, absolute: 2e-6), "\(variant), \(rows) rows, fused \(fused)")
                }
            }
            let matrix: Tensor = FusedKernels.$isEnabled.withValue(true) { layer.denseWeight() }
            #expect(matrix.isClose(to: layer.matrix.dequantized(), relative: 1e-6, absolute: 1e-8), "\(variant)")
        }
        #expect(FusedKernels.use(variant: before))
    }

    @Test func scalesBelowTheNormalNumbersOfFloat16AreRead() throws {
        let layer: QuantizedLinear = QuantizedLinear(
            Linear(weight: .normal([8, 64]) * 1e-5), quantizer: try GroupQuantizer(bits: 8, groupSize: 32))
        let x: Tensor = .ones([1, 64])
        let expected: Tensor = linear(x, weight: layer.matrix.dequantized())
        #expect(expected.abs().max().item(Double.self) > 0)
        #expect(FusedKernels.$isEnabled.withValue(true) { layer(x) }.isClose(to: expected, relative: 1e-5, absolute: 1e-9))
    }

    @Test func leadingAxesStay() throws {
        let layer: QuantizedLinear = QuantizedLinear(Linear(32, 6, bias: false), quantizer: try GroupQuantizer(groupSize: 32))
        #expect(FusedKernels.$isEnabled.withValue(true) { layer(.zeros([2, 3, 32])) }.shape == [2, 3, 6])
        #expect(layer.outputDimensions == 6 && layer.bias == nil && layer.trainableParameters().isEmpty)
    }

    @Test func aGradientPassesToTheInput() throws {
        let layer: QuantizedLinear = QuantizedLinear(Linear(32, 6), quantizer: try GroupQuantizer(groupSize: 32))
        let x: Tensor = .normal([3, 32])
        x.requiringGrad()
        let (_, gradients): (Tensor, [Tensor]) = FusedKernels.$isEnabled.withValue(true) { valueAndGrad(of: [x]) { layer(x).sum() } }
        let expected: Tensor = layer.denseWeight().sum(axis: 0).expanded(to: [3, 32])
        #expect(gradients[0].isClose(to: expected, relative: 1e-5, absolute: 1e-6))
    }
}
