import NN
import Torch

/// An affine map whose matrix is kept as packed codes of 2, 3, 4 or 8 bits with a scale (float16) and a zero point for each group of inputs.
///
/// On the CPU a few rows of float32 are multiplied by a fused kernel that decodes in registers; more rows, where a matrix product is worth the memory,
/// are multiplied by the decoded matrix. A gradient passes to the input; codes are not trained.
public final class QuantizedLinear: Module, LinearMap, CompressedLayer {
    public typealias Configuration = GroupQuantizer

    public static let kind: String = "quantized"

    public let configuration: GroupQuantizer
    public let inputDimensions: Int
    /// Packed codes, uint8 `[outputDimensions, bytes]`: eight codes take `bits` bytes, the first in the lowest bits.
    @Buffer public private(set) var codes: Tensor
    /// float16 `[outputDimensions, groups]`
    @Buffer public private(set) var scales: Tensor
    /// Packed zero points, uint8 `[outputDimensions, bytes]`.
    @Buffer public private(set) var zeros: Tensor
    /// `[outputDimensions]`
    public let bias: Tensor?

    /// - Parameters:
    ///   - matrix: the weight.
    ///   - bias: `[outputDimensions]`; is shared, and frozen.
    public init(_ matrix: QuantizedMatrix, bias: Tensor? = nil) {
        configuration = matrix.quantizer
        inputDimensions = matrix.codes.dim(1)
        self.bias = bias
        codes = PackedCodes.pack(matrix.codes, bits: matrix.quantizer.bits)
        scales = matrix.scales
        zeros = PackedCodes.pack(matrix.zeros, bits: matrix.quantizer.bits)
        super.init()
        freeze()
    }

    /// Rounds the matrix of a layer to nearest. Its bias is shared, and frozen.
    public convenience init(_ layer: any LinearMap, quantizer: GroupQuantizer) {
        self.init(quantizer.quantize(layer.denseWeight()), bias: layer.bias)
    }

    public static func empty(_ configuration: GroupQuantizer, replacing dense: Module) throws -> QuantizedLinear {
        try configuration.validate()
        guard let map = dense as? any LinearMap else { throw ConfigurationError("a \(type(of: dense)) has no matrix to quantize") }
        let groups: Int = configuration.groups(of: map.inputDimensions)
        let device: Device = map.bias?.device ?? dense.parameters().first?.device ?? .default
        let matrix: QuantizedMatrix = QuantizedMatrix(
            quantizer: configuration, codes: .zeros([map.outputDimensions, map.inputDimensions], dtype: .uint8, device: device),
            scales: .zeros([map.outputDimensions, groups], dtype: .float16, device: device),
            zeros: .zeros([map.outputDimensions, groups], dtype: .uint8, device: device))
        return QuantizedLinear(matrix, bias: map.bias)
    }

    public var outputDimensions: Int { codes.dim(0) }

    /// The codes, scales and zero points, not packed.
    public var matrix: QuantizedMatrix {
        let groups: Int = configuration.groups(of: inputDimensions)
        return QuantizedMatrix(
            quantizer: configuration, codes: PackedCodes.unpack(codes, bits: configuration.bits, count: inputDimensions), scales: scales,
            zeros: PackedCodes.unpack(zeros, bits: configuration.bits, count: groups))
    }

    /// Rows up to which the fused kernel is the faster way.
    static let mostFusedRows: Int = 16

    private var fused: FusedQuantizedLinear? {
        guard FusedKernels.isEnabled, codes.device == .cpu else { return nil }
        return FusedQuantizedLinear(
            codes: codes, scales: scales, zeros: zeros, inputs: inputDimensions, bits: configuration.bits,
            groupSize: configuration.groupSize)
    }

    public func denseWeight() -> Tensor { noGrad { fused?.dequantized() ?? matrix.dequantized() } }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        if x.count <= Self.mostFusedRows * inputDimensions, x.dtype == .float32, !x.requiresGrad, let fused { return fused(x, bias: bias) }
        return linear(x, weight: denseWeight().asType(x.dtype), bias: bias)
    }

    /// Bytes of codes, scales and zero points.
    var codeBytes: Int { codes.byteCount + scales.byteCount + zeros.byteCount }

    /// Bytes of codes, scales and zero points of such a layer, and of a float32 bias if it has one.
    public static func bytes(of layer: any LinearMap, quantizer: GroupQuantizer) -> Int {
        let groups: Int = quantizer.groups(of: layer.inputDimensions)
        let row: Int =
            PackedCodes.bytes(of: layer.inputDimensions, bits: quantizer.bits) + PackedCodes.bytes(of: groups, bits: quantizer.bits) + 2
            * groups
        return layer.outputDimensions * row + (layer.bias?.byteCount ?? 0)
    }
}
