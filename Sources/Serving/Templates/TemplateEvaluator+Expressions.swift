import Foundation

extension TemplateEvaluator {
    mutating func evaluate(_ expression: TemplateExpression) throws(TemplateError) -> TemplateValue {
        try enter()
        defer { leave() }
        switch expression {
        case .constant(let value): return value
        case .name(let name, _): return resolved(name)
        case .list(let items): return try list(items)
        case .dictionary(let entries, let line): return try dictionary(entries, line: line)
        case .attribute(let value, let name, let line): return try attribute(name, of: try evaluate(value), line: line)
        case .subscripted(let value, let index, let line):
            return try element(try evaluate(index), of: try evaluate(value), line: line)
        case .slice(let value, let start, let end, let step, let line):
            return try slice(try evaluate(value), try bound(start, line), try bound(end, line), try bound(step, line), line: line)
        case .call(let callee, let syntax, let line):
            return try call(callee, syntax, line: line)
        case .filter(let value, let name, let syntax, let line):
            let given: TemplateValue = try evaluate(value)
            return try TemplateFilters.apply(name, to: given, try arguments(syntax, line: line, name: name), &self)
        case .test(let value, let name, let syntax, let line):
            let given: TemplateValue = try evaluate(value)
            return .bool(try TemplateTests.holds(name, given, try arguments(syntax, line: line, name: name), &self))
        case .not(let value): return .bool(try !evaluate(value).isTrue)
        case .sign(let value, let isNegative, let line): return try signed(try evaluate(value), isNegative: isNegative, line: line)
        case .and(let left, let right):
            let value: TemplateValue = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .or(let left, let right):
            let value: TemplateValue = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .operation(let left, let symbol, let right, let line):
            return try TemplateArithmetic.operation(try evaluate(left), symbol, try evaluate(right), line: line, &self)
        case .comparison(let first, let others, let line): return .bool(try compare(first, others, line: line))
        case .conditional(let value, let condition, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            guard let otherwise else { return .undefined("the value without an else") }
            return try evaluate(otherwise)
        }
    }

    private mutating func call(
        _ callee: TemplateExpression, _ syntax: TemplateCallSyntax, line: Int
    ) throws(TemplateError) -> TemplateValue {
        switch callee {
        case .attribute(let expression, let name, _):
            let value: TemplateValue = try evaluate(expression)
            let arguments: TemplateArguments = try arguments(syntax, line: line, name: name)
            if let method = TemplateMethods.method(name, of: value) { return try method(&self, arguments) }
            return try call(try attribute(name, of: value, line: line), arguments)
        case .name(let name, _): return try call(resolved(name), try arguments(syntax, line: line, name: name))
        default: return try call(try evaluate(callee), try arguments(syntax, line: line, name: "the call"))
        }
    }

    private mutating func list(_ items: [TemplateExpression]) throws(TemplateError) -> TemplateValue {
        var values: [TemplateValue] = []
        for item in items { values.append(try evaluate(item)) }
        let list: TemplateValue = .list(values)
        try charge(list)
        return list
    }

    private mutating func dictionary(
        _ entries: [(key: TemplateExpression, value: TemplateExpression)], line: Int
    ) throws(TemplateError) -> TemplateValue {
        var result: TemplateDictionary = [:]
        for entry in entries {
            guard case .string(let key) = try evaluate(entry.key) else {
                throw .evaluation(line: line, "the keys of a mapping have to be strings")
            }
            result.set(key, to: try evaluate(entry.value))
        }
        try charge(.dictionary(result))
        return .dictionary(result)
    }

    private mutating func arguments(_ syntax: TemplateCallSyntax, line: Int, name: String) throws(TemplateError) -> TemplateArguments {
        var arguments: TemplateArguments = TemplateArguments(line: line, name: name)
        for expression in syntax.positional { arguments.positional.append(try evaluate(expression)) }
        for (name, expression) in syntax.named { arguments.named.set(name, to: try evaluate(expression)) }
        return arguments
    }

    // MARK: Parts of values

    /// `value.name`. The name of a method stands for it also where there is an entry of that name, as in Python; but methods are no values.
    mutating func attribute(_ name: String, of value: TemplateValue, line: Int) throws(TemplateError) -> TemplateValue {
        if TemplateMethods.method(name, of: value) != nil {
            throw .evaluation(line: line, "'\(name)' of \(value.kind) is a method, so it has to be called")
        }
        switch value {
        case .undefined(let base): throw .evaluation(line: line, "'\(base)' is undefined, so it has no '\(name)'")
        case .dictionary(let entries): return entries[name] ?? .undefined(name)
        case .namespace(let space): return space.values[name] ?? .undefined(name)
        default: return .undefined(name)
        }
    }

    private mutating func element(_ index: TemplateValue, of value: TemplateValue, line: Int) throws(TemplateError) -> TemplateValue {
        switch (value, index) {
        case (.undefined(let base), _): throw .evaluation(line: line, "'\(base)' is undefined, so it has no elements")
        case (.dictionary(let entries), .string(let key)):
            if let found = entries[key] { return found }
            return try attribute(key, of: value, line: line)
        case (.list(let items), _):
            guard let place = index.whole else { break }
            let position: Int = place < 0 ? items.count + place : place
            return items.indices.contains(position) ? items[position] : .undefined("the element \(place)")
        case (.string(let text), _):
            guard let place = index.whole else { break }
            try charge(size: text.utf8.count)
            let scalars: [Unicode.Scalar] = Array(text.unicodeScalars)
            let position: Int = place < 0 ? scalars.count + place : place
            return scalars.indices.contains(position) ? .string(String(scalars[position])) : .undefined("the character \(place)")
        default: break
        }
        if case .string(let name) = index { return try attribute(name, of: value, line: line) }
        return .undefined("the element")
    }

    private mutating func bound(_ expression: TemplateExpression?, _ line: Int) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value: TemplateValue = try evaluate(expression)
        if case .null = value { return nil }
        guard let whole = value.whole else { throw .evaluation(line: line, "the bounds of a slice have to be whole numbers") }
        return whole
    }

    private mutating func slice(
        _ value: TemplateValue, _ start: Int?, _ end: Int?, _ step: Int?, line: Int
    ) throws(TemplateError) -> TemplateValue {
        let stride: Int = step ?? 1
        if stride == 0 || stride == .min { throw .evaluation(line: line, "the step of a slice is \(stride)") }
        switch value {
        case .list(let items):
            try charge(items.count)
            return .list(Self.places(items.count, start, end, stride).map { items[$0] })
        case .string(let text):
            try charge(size: text.utf8.count)
            let scalars: [Unicode.Scalar] = Array(text.unicodeScalars)
            return .string(String(Self.places(scalars.count, start, end, stride).map { scalars[$0] }[...]))
        case .undefined(let name): throw .evaluation(line: line, "'\(name)' is undefined, so it has no part")
        default: throw .evaluation(line: line, "\(value.kind) has no part")
        }
    }

    /// The indices of a slice of `count` elements, as Python takes it.
    private static func places(_ count: Int, _ start: Int?, _ end: Int?, _ step: Int) -> [Int] {
        let (low, high): (Int, Int) = step > 0 ? (0, count) : (-1, count - 1)
        func clamped(_ bound: Int) -> Int { min(max(bound < 0 ? max(bound, -count - 1) + count : bound, low), high) }
        let first: Int = start.map(clamped) ?? (step > 0 ? low : high)
        let last: Int = end.map(clamped) ?? (step > 0 ? high : low)
        let bounded: Int = min(max(step, -count - 1), count + 1)
        return Array(stride(from: first, to: last, by: bounded))
    }

    // MARK: Operators

    private mutating func signed(_ value: TemplateValue, isNegative: Bool, line: Int) throws(TemplateError) -> TemplateValue {
        if let whole = value.whole {
            return try isNegative ? TemplateArithmetic.operation(.integer(0), "-", .integer(whole), line: line, &self) : .integer(whole)
        }
        guard let number = value.numeric else { throw .evaluation(line: line, "\(value.kind) has no sign") }
        return .number(isNegative ? -number : number)
    }

    private mutating func compare(
        _ first: TemplateExpression, _ others: [(operation: String, operand: TemplateExpression)], line: Int
    ) throws(TemplateError) -> Bool {
        var left: TemplateValue = try evaluate(first)
        for (operation, operand) in others {
            let right: TemplateValue = try evaluate(operand)
            guard try holds(left, operation, right, line: line) else { return false }
            left = right
        }
        return true
    }

    /// Whether a comparison holds.
    mutating func holds(
        _ left: TemplateValue, _ operation: String, _ right: TemplateValue, line: Int
    ) throws(TemplateError) -> Bool {
        try charge(left)
        try charge(right)
        switch operation {
        case "==": return left.equals(right)
        case "!=": return !left.equals(right)
        case "in": return try contains(right, left, line: line)
        case "not in": return try !contains(right, left, line: line)
        default:
            guard let order = left.order(to: right) else {
                throw .evaluation(line: line, "\(left.kind) and \(right.kind) have no order")
            }
            return operation == "<" ? order < 0 : operation == "<=" ? order <= 0 : operation == ">" ? order > 0 : order >= 0
        }
    }

    private func contains(_ whole: TemplateValue, _ part: TemplateValue, line: Int) throws(TemplateError) -> Bool {
        switch whole {
        case .undefined: return false
        case .list(let items): return items.contains { $0.equals(part) }
        case .dictionary(let entries): return part.text.map { entries[$0] != nil } ?? false
        case .string(let text):
            guard let searched = part.text else { throw .evaluation(line: line, "only a string can be in a string, not \(part.kind)") }
            return TemplateStrings.firstRange(of: searched, in: text) != nil
        default: throw .evaluation(line: line, "nothing can be in \(whole.kind)")
        }
    }
}
