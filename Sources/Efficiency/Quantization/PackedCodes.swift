import Torch

private let shiftRightOp: Operator = Operator("bitwise_right_shift", "Tensor")
private let shiftLeftOp: Operator = Operator("bitwise_left_shift", "Tensor")
private let andOp: Operator = Operator("bitwise_and", "Scalar")

/// Codes of 2, 3, 4 or 8 bits (and marks of 1) in bytes: eight codes take as many bytes as a code has bits, the first code in the lowest bits of the first byte.
///
/// Rows are filled up with zeros to a multiple of 16 codes, so that a row is a whole number of 16-bit words.
enum PackedCodes {
    static let widths: [Int] = [2, 3, 4, 8]

    /// Bytes of a row of `count` codes.
    static func bytes(of count: Int, bits: Int) -> Int { (count + 15) / 16 * 2 * bits }

    /// Integer codes `[rows, count]` below 2^bits to bytes `[rows, bytes]`.
    static func pack(_ codes: Tensor, bits: Int) -> Tensor {
        let count: Int = codes.dim(1)
        let filled: Tensor = codes.padded([(0, (count + 15) / 16 * 16 - count)])
        if bits == 8 { return filled.asType(.uint8) }
        let eights: Tensor = filled.asType(.int64).reshaped(codes.dim(0), -1, 8)
        let words: Tensor = shiftLeftOp(eights, shifts(by: bits, codes.device, count: 8)).sum(axis: 2, keepDims: true)
        return andOp(shiftRightOp(words, shifts(by: 8, codes.device, count: bits)), 255).asType(.uint8).reshaped(codes.dim(0), -1)
    }

    /// The first `count` codes of each row of bytes, as uint8 `[rows, count]`.
    static func unpack(_ bytes: Tensor, bits: Int, count: Int) -> Tensor {
        guard bits < 8 else { return bytes.narrowed(axis: 1, start: 0, length: count) }
        let parts: Tensor = bytes.asType(.int64).reshaped(bytes.dim(0), -1, bits)
        let words: Tensor = shiftLeftOp(parts, shifts(by: 8, bytes.device, count: bits)).sum(axis: 2, keepDims: true)
        let codes: Tensor = andOp(shiftRightOp(words, shifts(by: bits, bytes.device, count: 8)), (1 << bits) - 1)
        return codes.asType(.uint8).reshaped(bytes.dim(0), -1).narrowed(axis: 1, start: 0, length: count)
    }

    /// 0, step, 2 step, ...
    private static func shifts(by step: Int, _ device: Device, count: Int) -> Tensor {
        Tensor((0..<count).map { $0 * step }, [count], device: device)
    }
}
