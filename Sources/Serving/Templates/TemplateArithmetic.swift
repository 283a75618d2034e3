import Foundation

/// The operators between two values.
enum TemplateArithmetic {
    static func operation(
        _ left: TemplateValue, _ symbol: String, _ right: TemplateValue, line: Int, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> TemplateValue {
        if symbol == "~" {
            try evaluator.charge(left)
            try evaluator.charge(right)
            return try joined(TemplateText.printed(left), TemplateText.printed(right), &evaluator)
        }
        for value in [left, right] {
            if case .undefined(let name) = value { throw .evaluation(line: line, "'\(name)' is undefined, so '\(symbol)' has no value") }
        }
        switch (left, right) {
        case (.string(let one), .string(let two)) where symbol == "+": return try joined(one, two, &evaluator)
        case (.list(let one), .list(let two)) where symbol == "+":
            try evaluator.charge(1 + one.count + two.count)
            return .list(one + two)
        case (.string(let text), _) where symbol == "*" && right.whole != nil: return try repeated(text, right.whole ?? 0, &evaluator)
        case (_, .string(let text)) where symbol == "*" && left.whole != nil: return try repeated(text, left.whole ?? 0, &evaluator)
        default: break
        }
        if let one = left.whole, let two = right.whole, let result = try whole(one, symbol, two, line: line) { return result }
        guard let one = left.numeric, let two = right.numeric else {
            throw .evaluation(line: line, "'\(symbol)' has no value for \(left.kind) and \(right.kind)")
        }
        return .number(try number(one, symbol, two, line: line))
    }

    private static func joined(_ one: String, _ two: String, _ evaluator: inout TemplateEvaluator) throws(TemplateError) -> TemplateValue {
        try evaluator.charge(size: one.utf8.count + two.utf8.count)
        return .string(one + two)
    }

    private static func repeated(_ text: String, _ count: Int, _ evaluator: inout TemplateEvaluator) throws(TemplateError) -> TemplateValue
    {
        let size: (partialValue: Int, overflow: Bool) = text.utf8.count.multipliedReportingOverflow(by: max(count, 0))
        try evaluator.charge(size: size.overflow ? .max : size.partialValue)
        return .string(text.isEmpty ? "" : String(repeating: text, count: max(count, 0)))
    }

    /// Nil for a division, whose result is no whole number, and a power with a negative exponent.
    private static func whole(_ one: Int, _ symbol: String, _ two: Int, line: Int) throws(TemplateError) -> TemplateValue? {
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case "+": result = one.addingReportingOverflow(two)
        case "-": result = one.subtractingReportingOverflow(two)
        case "*": result = one.multipliedReportingOverflow(by: two)
        case "//", "%":
            if two == 0 { throw .evaluation(line: line, "a division by zero") }
            let quotient: (partialValue: Int, overflow: Bool) = one.dividedReportingOverflow(by: two)
            if quotient.overflow { throw .evaluation(line: line, "a number is too large") }
            let rest: Int = one % two
            let isBelow: Bool = rest != 0 && (rest < 0) != (two < 0)
            // Rounded down, as in Python; the rest has the divisor's sign.
            result = (symbol == "//" ? quotient.partialValue - (isBelow ? 1 : 0) : isBelow ? rest + two : rest, false)
        case "**":
            guard two >= 0 else { return nil }
            result = power(one, two)
        default: return nil
        }
        if result.overflow { throw .evaluation(line: line, "a number is too large") }
        return .integer(result.partialValue)
    }

    private static func power(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        var value: Int = 1
        for _ in 0..<min(exponent, 64) {
            let next: (partialValue: Int, overflow: Bool) = value.multipliedReportingOverflow(by: base)
            if next.overflow { return next }
            value = next.partialValue
        }
        return (value, exponent > 64)
    }

    private static func number(_ one: Double, _ symbol: String, _ two: Double, line: Int) throws(TemplateError) -> Double {
        switch symbol {
        case "+": return one + two
        case "-": return one - two
        case "*": return one * two
        case "**": return pow(one, two)
        default: break
        }
        if two == 0 { throw .evaluation(line: line, "a division by zero") }
        if symbol == "/" { return one / two }
        let quotient: Double = (one / two).rounded(.down)
        return symbol == "//" ? quotient : one - quotient * two
    }
}
