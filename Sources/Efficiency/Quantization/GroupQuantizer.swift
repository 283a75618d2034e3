import Torch

/// Asymmetric rounding to nearest in groups of a row's weights (the quantiser under arXiv 2406.17415; also GPTQ's).
///
/// In each group of `groupSize` inputs `s = (max − min) / (2^bits − 1)`, `zero = round(−min / s)`, `q = clamp(round(w / s) + zero, 0, 2^bits − 1)`, and
/// the weight that remains is `s (q − zero)`. The range is widened to have 0 in it, so that `zero` is a code like the others. Scales are rounded up to
/// float16 before they are used: no weight is off by more than half of the scale that is stored. A group of one value c has the scale |c|.
public struct GroupQuantizer: Codable, Sendable, Equatable {
    /// Bits of a code: 2, 3, 4 or 8.
    public var bits: Int
    /// Inputs that share a scale and a zero point, a multiple of 16. The last group of a row may be shorter.
    public var groupSize: Int

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(bits: Int = 4, groupSize: Int = 64) throws {
        self.bits = bits
        self.groupSize = groupSize
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public func validate() throws {
        if !PackedCodes.widths.contains(bits) { throw ConfigurationError("bits is \(bits); it has to be 2, 3, 4 or 8") }
        if groupSize < 16 || groupSize % 16 != 0 || groupSize > 1 << 20 {
            throw ConfigurationError("the group size is \(groupSize); it has to be a multiple of 16, such as 32, 64 or 128")
        }
    }

    /// The greatest code.
    var largest: Double { Double((1 << bits) - 1) }

    /// Bits of a weight with its share of scale and zero point: `bits + (16 + bits) / groupSize`.
    public var effectiveBits: Double { Double(bits) + Double(16 + bits) / Double(groupSize) }

    /// Groups of a row of `inputs` weights.
    public func groups(of inputs: Int) -> Int { (inputs + groupSize - 1) / groupSize }

    /// Scale and zero point of weights `[..., n]`, each `[..., 1]`; the scale is a number that float16 has.
    func parameters(of weights: Tensor) -> (scale: Tensor, zero: Tensor) {
        let (low, high): (Tensor, Tensor) = (weights.min(axis: -1, keepDims: true), weights.max(axis: -1, keepDims: true))
        let step: Tensor = (high.clamped(0, nil) - low.clamped(nil, 0)) / largest
        let rounded: Tensor = which(low .== high, Self.half(low.abs()), Self.halfAbove(step))
        let scale: Tensor = rounded.maskedFill(rounded .== 0, 1)
        return (scale, (-(low.clamped(nil, 0)) / scale).round().clamped(0, largest))
    }

    /// The codes of weights under a scale and a zero point that broadcast to them.
    func codes(of weights: Tensor, scale: Tensor, zero: Tensor) -> Tensor {
        ((weights / scale).round() + zero).clamped(0, largest)
    }

    private static func half(_ x: Tensor) -> Tensor { x.clamped(nil, 65504).asType(.float16).asType(x.dtype) }

    /// The least number of float16, or the one after it, that is not below x.
    private static func halfAbove(_ x: Tensor) -> Tensor {
        let nearest: Tensor = half(x)
        // One unit in the last place of a normal number is at most 2⁻¹⁰ of it, of a subnormal one 2⁻²⁴.
        return which(nearest .< x, half(x * (1 + 0x1p-10) + 0x1p-24), nearest)
    }

    /// Quantises a weight `[out, in]`.
    public func quantize(_ weight: Tensor) -> QuantizedMatrix {
        precondition(weight.ndim == 2, "GroupQuantizer: a weight of shape \(weight.shape)")
        return noGrad {
            let values: Tensor = weight.asType(weight.dtype.accumulator)
            let grouped: Tensor = grouped(values)
            let (scale, zero): (Tensor, Tensor) = parameters(of: grouped)
            let codes: Tensor = codes(of: grouped, scale: scale, zero: zero).flattened(from: 1, to: 2)
            return QuantizedMatrix(
                quantizer: self, codes: codes.narrowed(axis: 1, start: 0, length: weight.dim(1)).asType(.uint8),
                scales: scale.squeezed(axis: 2).asType(.float16), zeros: zero.squeezed(axis: 2).asType(.uint8))
        }
    }

    /// `[out, in]` to `[out, groups, groupSize]`; a shorter last group repeats its last column, which changes no range.
    private func grouped(_ weight: Tensor) -> Tensor {
        let missing: Int = groups(of: weight.dim(1)) * groupSize - weight.dim(1)
        let last: Tensor = weight.narrowed(axis: 1, start: weight.dim(1) - 1, length: 1)
        let whole: Tensor = missing == 0 ? weight : concatenated([weight, last.expanded(to: [weight.dim(0), missing])], axis: 1)
        return whole.reshaped(weight.dim(0), -1, groupSize)
    }
}

/// A matrix as codes, scales and zero points.
public struct QuantizedMatrix {
    public let quantizer: GroupQuantizer
    /// `[out, in]`, uint8, not packed.
    public let codes: Tensor
    /// `[out, groups]`, float16.
    public let scales: Tensor
    /// `[out, groups]`, uint8.
    public let zeros: Tensor

    /// Matrices of some rows each, one after the other.
    func split(_ rows: [Int]) -> [QuantizedMatrix] {
        let parts: [(Tensor, (Tensor, Tensor))] = Array(
            zip(codes.split(sizes: rows), zip(scales.split(sizes: rows), zeros.split(sizes: rows))))
        return parts.map { QuantizedMatrix(quantizer: quantizer, codes: $0, scales: $1.0, zeros: $1.1) }
    }

    /// The matrix that remains, `[out, in]`.
    public func dequantized(dtype: DType = .float32) -> Tensor {
        func spread(_ values: Tensor) -> Tensor {
            values.asType(dtype).repeated(quantizer.groupSize, axis: 1).narrowed(axis: 1, start: 0, length: codes.dim(1))
        }
        return (codes.asType(dtype) - spread(zeros)) * spread(scales)
    }
}
