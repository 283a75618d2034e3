import Foundation

/// The filters, `value|name(arguments)`.
enum TemplateFilters {
    static let names: Set<String> = [
        "trim", "upper", "lower", "capitalize", "title", "length", "count", "join", "tojson", "default", "d", "first", "last", "replace",
        "string", "int", "float", "list", "items", "sort", "unique", "reverse", "map", "select", "reject", "selectattr", "rejectattr",
        "abs", "round", "sum", "min", "max", "indent", "safe", "dictsort",
    ]

    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "trim", "upper", "lower", "capitalize", "title", "replace", "indent", "string", "safe":
            try evaluator.charge(value)
            return .string(try text(name, TemplateText.printed(value), arguments, &evaluator))
        case "tojson":
            try evaluator.charge(value)
            return .string(try json(value, arguments))
        case "default", "d":
            let isMissing: Bool = if case .undefined = value { true } else { arguments.flag(1, "boolean") && !value.isTrue }
            return isMissing ? arguments.value(0, "default_value") ?? .string("") : value
        case "int", "float", "abs", "round":
            try evaluator.charge(value)
            return try number(name, value, arguments)
        case "length", "count":
            if let text = value.text { try evaluator.charge(size: text.utf8.count) }
            return .integer(try length(value, arguments))
        case "join":
            let elements: [TemplateValue] = try evaluator.elements(of: value, line: arguments.line)
            let items: [TemplateValue] = try attributes(try arguments.text(1, "attribute"), of: elements, arguments, &evaluator)
            return .string(try TemplateMethods.joined(items, try arguments.text(0, "d") ?? "", &evaluator))
        case "items", "dictsort":
            try evaluator.charge(value)
            return try pairs(name, value, arguments)
        case "reverse":
            if let text = value.text { try evaluator.charge(size: text.utf8.count) }
            if case .string(let text) = value { return .string(String(Array(text.unicodeScalars.reversed())[...])) }
            return .list(try evaluator.elements(of: value, line: arguments.line).reversed())
        default:
            let items: [TemplateValue] = try evaluator.elements(of: value, line: arguments.line)
            try evaluator.charge(items.count)
            return try sequence(name, items, arguments, &evaluator)
        }
    }

    // MARK: Texts and numbers

    private static func text(
        _ name: String, _ text: String, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> String {
        switch name {
        case "trim": return TemplateStrings.stripped(text, try arguments.text(0, "chars"))
        case "upper": return text.uppercased()
        case "lower": return text.lowercased()
        case "capitalize": return TemplateStrings.capitalized(text)
        case "title": return TemplateStrings.titled(text)
        case "replace":
            let (old, new): (String, String) = (try arguments.requiredText(0, "old"), try arguments.requiredText(1, "new"))
            return try TemplateMethods.replaced(text, old, new, most: try arguments.whole(2, "count"), &evaluator)
        case "indent": return try indented(text, arguments, &evaluator)
        default: return text
        }
    }

    private static func indented(
        _ text: String, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> String {
        let margin: String
        if let given = arguments.value(0, "width")?.text {
            margin = given
        } else {
            let width: Int = max(try arguments.whole(0, "width") ?? 4, 0)
            try evaluator.charge(size: width)
            margin = String(repeating: " ", count: width)
        }
        let lines: [String] = TemplateStrings.split(text, by: "\n", most: nil)
        let size: (partialValue: Int, overflow: Bool) = lines.count.multipliedReportingOverflow(by: margin.utf8.count)
        try evaluator.charge(size: size.overflow ? .max : size.partialValue)
        let (first, blank): (Bool, Bool) = (arguments.flag(1, "first"), arguments.flag(2, "blank"))
        return lines.enumerated().map { index, line in
            (index == 0 ? first : blank || !line.isEmpty) ? margin + line : line
        }.joined(separator: "\n")
    }

    private static func json(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError) -> String {
        let indent: Int? = try arguments.whole(0, "indent")
        if let indent, !(0...16).contains(indent) { throw arguments.failure("indent is \(indent); it has to be 0 to 16") }
        guard let text = TemplateText.json(value, indent: indent) else {
            throw arguments.failure("\(value.kind) has no JSON, or holds what has none")
        }
        return text
    }

    private static func number(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        switch name {
        case "int":
            if let whole = value.whole { return .integer(whole) }
            let number: Double? = value.numeric ?? value.text.flatMap { Double(TemplateStrings.stripped($0, nil)) }
            if let number, let whole = Int(exactly: number.rounded(.towardZero)) { return .integer(whole) }
            return arguments.value(0, "default") ?? .integer(0)
        case "float":
            let number: Double? = value.numeric ?? value.text.flatMap { Double(TemplateStrings.stripped($0, nil)) }
            if let number { return .number(number) }
            return arguments.value(0, "default") ?? .number(0)
        case "abs":
            if let whole = value.whole, whole != .min { return .integer(abs(whole)) }
        default: break
        }
        guard let number = value.numeric else { throw arguments.failure("a number is needed, not \(value.kind)") }
        if name == "abs" { return .number(abs(number)) }
        let scale: Double = pow(10, Double(min(max(try arguments.whole(0, "precision") ?? 0, -300), 300)))
        let method: String = try arguments.text(1, "method") ?? "common"
        let rule: FloatingPointRoundingRule =
            switch method {
            case "ceil": .up
            case "floor": .down
            default: .toNearestOrEven
            }
        return .number((number * scale).rounded(rule) / scale)
    }

    private static func length(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text): return text.unicodeScalars.count
        case .list(let items): return items.count
        case .dictionary(let entries): return entries.entries.count
        default: throw arguments.failure("\(value.kind) has no length")
        }
    }

    // MARK: Sequences

    private static func pairs(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError) -> TemplateValue
    {
        switch value {
        case .undefined where name == "items": return .list([])
        case .dictionary(let entries):
            if name == "items" { return TemplateMethods.pairs(entries) }
            let sorted: [(key: String, value: TemplateValue)] = entries.entries.sorted {
                TemplateValue.string($0.key.lowercased()).order(to: .string($1.key.lowercased())) == -1
            }
            return .list(sorted.map { .list([.string($0.key), $0.value]) })
        default: throw arguments.failure("a mapping is needed, not \(value.kind)")
        }
    }

    private static func sequence(
        _ name: String, _ items: [TemplateValue], _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "first": return items.first ?? .undefined("the first of no elements")
        case "last": return items.last ?? .undefined("the last of no elements")
        case "map": return .list(try mapped(items, arguments, &evaluator))
        case "select", "reject", "selectattr", "rejectattr": return .list(try selected(name, items, arguments, &evaluator))
        case "unique": return .list(try unique(items, &evaluator))
        case "sum":
            var sum: TemplateValue = arguments.value(1, "start") ?? .integer(0)
            let path: String? = try arguments.text(0, "attribute")
            for value in try attributes(path, of: items, arguments, &evaluator) {
                sum = try TemplateArithmetic.operation(sum, "+", value, line: arguments.line, &evaluator)
            }
            return sum
        case "sort", "min", "max":
            let isReversed: Bool = name == "sort" && arguments.flag(0, "reverse")
            let sorted: [TemplateValue] = try sorted(
                items, by: name == "sort" ? try arguments.text(2, "attribute") : nil, arguments, &evaluator)
            if name != "sort" { return (name == "min" ? sorted.first : sorted.last) ?? .undefined("the \(name) of no elements") }
            return .list(isReversed ? sorted.reversed() : sorted)
        default: return .list(items)
        }
    }

    /// An attribute of every element, or the elements themselves; a dotted name goes on into what it finds.
    private static func attributes(
        _ path: String?, of items: [TemplateValue], _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> [TemplateValue] {
        guard let path else { return items }
        var found: [TemplateValue] = items
        for name in TemplateStrings.split(path, by: ".", most: nil) {
            for index in found.indices {
                try evaluator.charge()
                if case .dictionary(let entries) = found[index] {
                    found[index] = entries[name] ?? .undefined(name)
                } else if case .list(let parts) = found[index], let place = Int(name), parts.indices.contains(place) {
                    found[index] = parts[place]
                } else {
                    found[index] = try evaluator.attribute(name, of: found[index], line: arguments.line)
                }
            }
        }
        return found
    }

    private static func mapped(
        _ items: [TemplateValue], _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> [TemplateValue] {
        if let named = arguments.named["attribute"], let attribute = named.text ?? named.whole.map({ String($0) }) {
            let found: [TemplateValue] = try attributes(attribute, of: items, arguments, &evaluator)
            guard let standard = arguments.named["default"] else { return found }
            return found.map { if case .undefined = $0 { standard } else { $0 } }
        }
        let filter: String = try arguments.requiredText(0, "filter")
        guard names.contains(filter) else { throw arguments.failure("the filter '\(filter.prefix(40))' is not known") }
        var rest: TemplateArguments = TemplateArguments(line: arguments.line, name: filter)
        rest.positional = Array(arguments.positional.dropFirst())
        rest.named = arguments.named
        var results: [TemplateValue] = []
        for item in items {
            results.append(try nested(&evaluator) { (inner) throws(TemplateError) in try apply(filter, to: item, rest, &inner) })
        }
        return results
    }

    /// Filters that apply filters count as levels.
    private static func nested<Result>(
        _ evaluator: inout TemplateEvaluator, _ body: (inout TemplateEvaluator) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        try evaluator.enter()
        defer { evaluator.leave() }
        return try body(&evaluator)
    }

    private static func selected(
        _ name: String, _ items: [TemplateValue], _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> [TemplateValue] {
        let byAttribute: Bool = name.hasSuffix("attr")
        let keeps: Bool = name.hasPrefix("select")
        let path: String? = byAttribute ? try arguments.requiredText(0, "attribute") : nil
        let values: [TemplateValue] = try attributes(path, of: items, arguments, &evaluator)
        let rest: [TemplateValue] = Array(arguments.positional.dropFirst(byAttribute ? 1 : 0))
        var call: TemplateArguments = TemplateArguments(line: arguments.line, name: rest.first?.text ?? name)
        call.positional = Array(rest.dropFirst())
        if let test = rest.first, !(test.text.map { TemplateTests.names.contains($0) } ?? false) {
            throw arguments.failure("the test '\(TemplateText.printed(test).prefix(40))' is not known")
        }
        var kept: [TemplateValue] = []
        for (item, value) in zip(items, values) {
            try evaluator.charge()
            var holds: Bool = value.isTrue
            if let test = rest.first?.text { holds = try TemplateTests.holds(test, value, call, &evaluator) }
            if holds == keeps { kept.append(item) }
        }
        return kept
    }

    private static func unique(_ items: [TemplateValue], _ evaluator: inout TemplateEvaluator) throws(TemplateError) -> [TemplateValue] {
        try evaluator.charge(.list(items))
        var found: [TemplateValue] = []
        for item in items {
            let folded: TemplateValue = item.text.map { .string($0.lowercased()) } ?? item
            try evaluator.charge(1 + found.count)
            if !found.contains(where: { ($0.text.map { .string($0.lowercased()) } ?? $0).equals(folded) }) { found.append(item) }
        }
        return found
    }

    /// Strings by their lower case, as Jinja sorts them.
    private static func sorted(
        _ items: [TemplateValue], by attribute: String?, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> [TemplateValue] {
        let values: [TemplateValue] = try attributes(attribute, of: items, arguments, &evaluator)
        try evaluator.charge(.list(values))
        let keys: [TemplateValue] = values.map { $0.text.map { .string($0.lowercased()) } ?? $0 }
        for key in keys where keys[0].order(to: key) == nil { throw arguments.failure("\(keys[0].kind) and \(key.kind) have no order") }
        try evaluator.charge(items.count * 20)
        // Equal keys stay in their order.
        let order: [Int] = keys.indices.sorted { one, two in
            let order: Int = keys[one].order(to: keys[two]) ?? 0
            return order == 0 ? one < two : order < 0
        }
        return order.map { items[$0] }
    }
}
