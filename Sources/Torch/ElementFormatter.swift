#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns the elements of a tensor into words of one width, by NumPy's rules.
enum ElementFormatter {
    private static let precision: Int = 4

    static func words(of tensor: Tensor) -> [String] {
        if tensor.dtype == .bool { return aligned(tensor.array(Bool.self).map { $0 ? "true" : "false" }) }
        if tensor.dtype.isComplex { return complexWords(tensor) }
        if tensor.dtype.isFloatingPoint { return floatWords(tensor.array(Double.self), single: tensor.dtype != .float64, signed: false) }
        return aligned(tensor.array(Int64.self).map { String($0) })
    }

    private static func complexWords(_ tensor: Tensor) -> [String] {
        let parts: Tensor = tensor.viewAsReal()
        let single: Bool = tensor.dtype == .complex64
        let real: [String] = floatWords(parts.selected(axis: -1, index: 0).array(Double.self), single: single, signed: false)
        let imaginary: [String] = floatWords(parts.selected(axis: -1, index: 1).array(Double.self), single: single, signed: true)
        return zip(real, imaginary).map { real, imaginary in
            // The unit stands right behind the digits, before the blanks that align them.
            let blanks: Int = imaginary.reversed().prefix { $0 == " " }.count
            return real + imaginary.dropLast(blanks) + "j" + String(repeating: " ", count: blanks)
        }
    }

    /// - Parameters:
    ///   - single: digits beyond float32's are noise and do not count as needed.
    ///   - signed: a plus sign too.
    private static func floatWords(_ values: [Double], single: Bool, signed: Bool) -> [String] {
        let finite: [Double] = values.filter(\.isFinite)
        let scientific: Bool = needsExponent(finite)
        let split: [NumberParts] = values.map {
            NumberParts($0, scientific: scientific, precision: precision, single: single, signed: signed)
        }
        let fraction: Int = split.map(\.fraction.count).max() ?? 0
        return aligned(split.map { $0.text(fractionWidth: fraction) })
    }

    private static func needsExponent(_ finite: [Double]) -> Bool {
        let magnitudes: [Double] = finite.map { abs($0) }.filter { $0 > 0 }
        guard let largest = magnitudes.max(), let smallest = magnitudes.min() else { return false }
        return largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1000
    }

    private static func aligned(_ words: [String]) -> [String] {
        let width: Int = words.map(\.count).max() ?? 0
        return words.map { String(repeating: " ", count: width - $0.count) + $0 }
    }
}

/// A number as printed: `-12` `.` `5` and for scientific notation `e+03`; `nan` and `inf` have a whole part only.
private struct NumberParts {
    private let whole: String
    let fraction: String
    private let exponent: String
    private let isFinite: Bool
    private let scientific: Bool

    init(_ value: Double, scientific: Bool, precision: Int, single: Bool, signed: Bool) {
        self.scientific = scientific
        isFinite = value.isFinite
        let sign: String = value.sign == .minus && !value.isNaN ? "-" : (signed ? "+" : "")
        guard value.isFinite else {
            whole = sign + (value.isNaN ? "nan" : "inf")
            fraction = ""
            exponent = ""
            return
        }
        let shortest: Double = single ? Double("\(Float(abs(value)))") ?? abs(value) : abs(value)
        let digits: String = Self.format(shortest, scientific: scientific, precision: precision)
        let mantissa: [Substring] = digits.split(separator: "e", omittingEmptySubsequences: false)
        let halves: [Substring] = mantissa[0].split(separator: ".", omittingEmptySubsequences: false)
        whole = sign + halves[0]
        var shown: Substring = halves.count > 1 ? halves[1] : ""
        while shown.last == "0" { shown.removeLast() }
        fraction = String(shown)
        exponent = mantissa.count > 1 ? "e" + mantissa[1] : ""
    }

    /// Blanks stand for the dropped zeros in plain notation; scientific notation keeps them before the exponent.
    func text(fractionWidth: Int) -> String {
        guard isFinite else { return whole }
        let missing: Int = fractionWidth - fraction.count
        let filler: String = String(repeating: scientific ? "0" : " ", count: missing)
        return whole + "." + fraction + filler + exponent
    }

    private static func format(_ value: Double, scientific: Bool, precision: Int) -> String {
        var buffer: [CChar] = Array(repeating: 0, count: 400)
        let written: Int32 = withVaList([Int32(precision), value]) {
            vsnprintf(&buffer, buffer.count, scientific ? "%.*e" : "%.*f", $0)
        }
        return String(decoding: buffer.prefix(Int(written)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension String {
    func trimmingSpaces() -> String {
        guard let first = firstIndex(where: { $0 != " " }), let last = lastIndex(where: { $0 != " " }) else { return "" }
        return String(self[first...last])
    }
}
