/// The tests, `value is name`.
enum TemplateTests {
    static let names: Set<String> = [
        "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true",
        "false", "callable", "odd", "even", "divisibleby", "lower", "upper", "in", "eq", "equalto", "==", "ne", "!=", "lt", "<", "lessthan",
        "le", "<=", "gt", ">", "greaterthan", "ge", ">=", "sameas",
    ]

    private static let comparisons: [String: String] = [
        "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "lt": "<", "<": "<", "lessthan": "<", "le": "<=", "<=": "<=",
        "gt": ">", ">": ">", "greaterthan": ">", "ge": ">=", ">=": ">=", "in": "in",
    ]

    static func holds(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> Bool {
        if let operation = comparisons[name] {
            return try evaluator.holds(value, operation, arguments.required(0, "other"), line: arguments.line)
        }
        switch name {
        case "odd", "even", "divisibleby":
            guard let whole = value.whole else { throw arguments.failure("a whole number is needed, not \(value.kind)") }
            let divisor: Int = name == "divisibleby" ? try arguments.whole(0, "num") ?? 0 : 2
            if divisor == 0 { throw arguments.failure("a division by zero") }
            let isDivisible: Bool = whole.isMultiple(of: divisor)
            return name == "odd" ? !isDivisible : isDivisible
        case "lower", "upper":
            let text: String = TemplateText.printed(value)
            return text.unicodeScalars.contains { $0.properties.isCased }
                && text.isIdentical(to: name == "lower" ? text.lowercased() : text.uppercased())
        case "sameas":
            let other: TemplateValue = try arguments.required(0, "other")
            try evaluator.charge(value)
            return value.kind == other.kind && value.equals(other)
        default: return isOfKind(name, value)
        }
    }

    private static func isOfKind(_ name: String, _ value: TemplateValue) -> Bool {
        switch (name, value) {
        case ("undefined", .undefined), ("none", .null), ("string", .string), ("mapping", .dictionary), ("callable", .function),
            ("integer", .integer), ("float", .number), ("boolean", .bool):
            return true
        case ("defined", .undefined): return false
        case ("defined", _): return true
        // As in Jinja: strings and mappings have elements and a length.
        case ("iterable", .string), ("iterable", .list), ("iterable", .dictionary), ("iterable", .undefined): return true
        case ("sequence", .string), ("sequence", .list), ("sequence", .dictionary), ("sequence", .undefined): return true
        case ("number", .integer), ("number", .number), ("number", .bool): return true
        case ("true", .bool(let flag)): return flag
        case ("false", .bool(let flag)): return !flag
        default: return false
        }
    }
}
