import Foundation
import Training

/// Values as Python writes them, and as JSON.
enum TemplateText {
    /// As `{{ value }}` prints it.
    static func printed(_ value: TemplateValue) -> String {
        switch value {
        case .undefined: ""
        case .string(let text): text
        default: represented(value)
        }
    }

    /// As Python's `repr`: strings in quotes.
    static func represented(_ value: TemplateValue) -> String {
        switch value {
        case .undefined: "Undefined"
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .number(let value): number(value)
        case .string(let text): quoted(text)
        case .list(let items): "[" + items.map(represented).joined(separator: ", ") + "]"
        case .dictionary(let entries):
            "{" + entries.entries.map { "\(quoted($0.key)): \(represented($0.value))" }.joined(separator: ", ") + "}"
        // What it holds may be itself.
        case .namespace: "<Namespace>"
        case .function(let function): "<function \(function.name)>"
        }
    }

    /// The shortest digits that say the number, with an exponent where Python writes one.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let size: Double = abs(value)
        if value == value.rounded(), size < 1e16 { return String(format: "%.1f", value) }
        let text: String = "\(value)"
        guard let mark = text.firstIndex(of: "e") else {
            return size < 1e-4 ? withExponent(text, size) : text
        }
        // Swift writes 1e-05 as 1e-05 and 1.5e+20 as 1.5e+20, Python the same but for a mantissa that ends in .0.
        let mantissa: Substring = text[..<mark]
        let exponent: Int = Int(text[text.index(after: mark)...]) ?? 0
        let digits: String = mantissa.hasSuffix(".0") ? String(mantissa.dropLast(2)) : String(mantissa)
        return digits + "e" + (exponent < 0 ? "-" : "+") + String(format: "%02d", abs(exponent))
    }

    private static func withExponent(_ text: String, _ size: Double) -> String {
        let exponent: Int = Int(floor(log10(size)))
        let digits: String = String(text.drop { "-0.".contains($0) })
        let tail: String = digits.dropFirst().isEmpty ? "" : "." + digits.dropFirst()
        return (text.hasPrefix("-") ? "-" : "") + digits.prefix(1) + tail + "e-" + String(format: "%02d", -exponent)
    }

    private static func quoted(_ text: String) -> String {
        let quote: Unicode.Scalar = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var result: String = String(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case quote: result += "\\\(scalar)"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += String(format: "\\x%02x", scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + String(quote)
    }

    // MARK: JSON

    /// As `json.dumps(value, ensure_ascii=False)` writes it.
    /// - Parameter indent: spaces a level, on lines of their own; nil writes one line.
    static func json(_ value: TemplateValue, indent: Int?, level: Int = 0) -> String? {
        switch value {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .number(let value):
            return value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : number(value)
        case .string(let text): return JSONText.string(text)
        case .list(let items):
            let parts: [String] = items.compactMap { json($0, indent: indent, level: level + 1) }
            return parts.count == items.count ? enclosed(parts, "[", "]", indent, level) : nil
        case .dictionary(let entries):
            let parts: [String] = entries.entries.compactMap { entry in
                json(entry.value, indent: indent, level: level + 1).map { "\(JSONText.string(entry.key)): \($0)" }
            }
            return parts.count == entries.entries.count ? enclosed(parts, "{", "}", indent, level) : nil
        case .undefined, .namespace, .function: return nil
        }
    }

    private static func enclosed(_ parts: [String], _ open: String, _ close: String, _ indent: Int?, _ level: Int) -> String {
        guard let indent, !parts.isEmpty else { return open + parts.joined(separator: ", ") + close }
        let inner: String = "\n" + String(repeating: " ", count: indent * (level + 1))
        return open + inner + parts.joined(separator: "," + inner) + "\n" + String(repeating: " ", count: indent * level) + close
    }
}
