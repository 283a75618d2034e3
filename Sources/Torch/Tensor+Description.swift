/// Printing as NumPy prints:
///
///     Tensor([[ 0.    ,  1.5   ],
///             [-2.    ,  0.3333]], dtype: float32)
///
/// - Brackets nest by axis; rows of the last axis go on one line, wrapped at 75 columns; blank lines separate matrices.
/// - Numbers of a tensor share one width. Fractions have as many digits after the point as the longest needs, at most 4, with
///   trailing zeros dropped to blanks. All go to scientific notation where the largest absolute value is at least 1e8, the
///   smallest above zero is below 1e-4, or one is 1000 times the other.
/// - Above 1000 elements, each axis of more than 6 shows its first and last 3 places around `...`, and the shape is added.
/// - `dtype:` always ends the line; a device other than the CPU is named after it.
extension Tensor: CustomStringConvertible {
    public var description: String {
        let summarised: Bool = count > TensorPrinter.summaryThreshold
        let body: String = TensorPrinter(self, summarised: summarised).text(indent: "Tensor(".count)
        var suffix: String = ", dtype: \(dtype)"
        if summarised || (count == 0 && shape != [0]) { suffix = ", shape: \(shape)" + suffix }
        if device.kind != .cpu { suffix += ", device: \(device)" }
        return "Tensor(\(body)\(suffix))"
    }
}

/// Lays one tensor's elements out.
struct TensorPrinter {
    static let summaryThreshold: Int = 1000
    private static let edgeItems: Int = 3
    private static let lineWidth: Int = 75

    private let shape: [Int]
    private let summarised: Bool
    /// The formatted elements that are shown, in row-major order.
    private let words: [String]

    init(_ tensor: Tensor, summarised: Bool) {
        shape = tensor.shape
        self.summarised = summarised
        var shown: Tensor = tensor.detached()
        if summarised {
            for axis in 0..<tensor.ndim where tensor.dim(axis) > 2 * Self.edgeItems {
                let places: [Int] = Array(0..<Self.edgeItems) + Array(tensor.dim(axis) - Self.edgeItems..<tensor.dim(axis))
                shown = shown.indexSelect(axis: axis, indices: Tensor(places, device: tensor.device))
            }
        }
        words = ElementFormatter.words(of: shown)
    }

    /// - Parameter indent: column at which the first bracket stands.
    func text(indent: Int) -> String {
        if shape.isEmpty { return words[0].trimmingSpaces() }
        if shape.contains(0) { return "[]" }
        var next: Int = 0
        return block(axis: 0, indent: indent, next: &next)
    }

    private func block(axis: Int, indent: Int, next: inout Int) -> String {
        let length: Int = shape[axis]
        let gap: Bool = summarised && length > 2 * Self.edgeItems
        let shown: Int = gap ? 2 * Self.edgeItems : length
        var parts: [String] = []
        for index in 0..<shown {
            if gap && index == Self.edgeItems { parts.append("...") }
            if axis == shape.count - 1 {
                parts.append(words[next])
                next += 1
            } else {
                parts.append(block(axis: axis + 1, indent: indent + 1, next: &next))
            }
        }
        if axis == shape.count - 1 { return "[" + wrapped(parts, indent: indent + 1) + "]" }
        let separator: String = "," + String(repeating: "\n", count: shape.count - 1 - axis) + String(repeating: " ", count: indent + 1)
        return "[" + parts.joined(separator: separator) + "]"
    }

    /// The elements of one row, broken where they pass the width.
    private func wrapped(_ parts: [String], indent: Int) -> String {
        var lines: [String] = []
        var line: String = ""
        // Room for the comma or the brackets that close.
        let width: Int = Self.lineWidth - shape.count - indent
        for (index, part) in parts.enumerated() {
            let piece: String = part + (index == parts.count - 1 ? "" : ",")
            if !line.isEmpty && line.count + 1 + part.count > width {
                lines.append(line)
                line = piece
            } else {
                line += (line.isEmpty ? "" : " ") + piece
            }
        }
        return (lines + [line]).joined(separator: "\n" + String(repeating: " ", count: indent))
    }
}
