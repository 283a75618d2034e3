import Torch

/// A matrix in 8 or 4 bits an element, each row between its smallest and its largest value in equal steps.
struct RowQuantizer {
    /// 8 or 4.
    let bits: Int

    private var levels: Double { bits == 8 ? 255 : 15 }

    /// The names of what is kept, in the order of ``encode(_:)``.
    static let names: [String] = ["error_codes", "error_low", "error_step"]

    /// The code of a matrix of zeros `[m, n]`.
    func zeros(_ rows: Int, _ columns: Int, like parameter: Tensor) -> [Tensor] {
        let width: Int = bits == 8 ? columns : (columns + 1) / 2
        let scale: Tensor = .zeros([rows, 1], dtype: parameter.dtype, device: parameter.device)
        return [.zeros([rows, width], dtype: .uint8, device: parameter.device), scale, scale.cloned()]
    }

    /// Codes (two to a byte in 4 bits, the first in the low half), the rows' lowest values and their steps `[m, 1]`.
    func encode(_ matrix: Tensor) -> [Tensor] {
        let low: Tensor = matrix.min(axis: 1, keepDims: true)
        let step: Tensor = (matrix.max(axis: 1, keepDims: true) - low) / levels
        let codes: Tensor = ((matrix - low) / which(step .> 0, step, step.onesLike())).round().clamped(0, levels)
        guard bits == 4 else { return [codes.asType(.uint8), low, step] }
        let even: Tensor = codes.dim(1) % 2 == 0 ? codes : codes.padded([(0, 1)])
        let pairs: Tensor = even.reshaped([even.dim(0), even.dim(1) / 2, 2])
        return [(pairs.selected(axis: 2, index: 0) + pairs.selected(axis: 2, index: 1) * 16).asType(.uint8), low, step]
    }

    /// The matrix `[m, columns]` of a code.
    func decode(_ code: [Tensor], columns: Int) -> Tensor {
        var codes: Tensor = code[0].asType(code[1].dtype)
        if bits == 4 {
            let high: Tensor = (codes / 16).floor()
            codes = stacked([codes - high * 16, high], axis: 2).reshaped([codes.dim(0), codes.dim(1) * 2])
            codes = codes.narrowed(axis: 1, start: 0, length: columns)
        }
        return codes * code[2] + code[1]
    }
}
