// Expressions, from the operator that binds least to that which binds most.
extension TemplateParser {
    static let constants: [String: TemplateValue] = [
        "true": .bool(true), "True": .bool(true), "false": .bool(false), "False": .bool(false), "none": .null, "None": .null,
    ]

    /// One expression, or several with commas as a list.
    mutating func tuple(allowingConditional: Bool = true) throws(TemplateError) -> TemplateExpression {
        func one(_ parser: inout TemplateParser) throws(TemplateError) -> TemplateExpression {
            allowingConditional ? try parser.expression() : try parser.disjunction()
        }
        let first: TemplateExpression = try one(&self)
        guard token.kind == .symbol(",") else { return first }
        var items: [TemplateExpression] = [first]
        while accept(symbol: ",") {
            switch token.kind {
            case .outputEnd, .blockEnd, .symbol(")"): return .list(items)
            default: items.append(try one(&self))
            }
        }
        return .list(items)
    }

    mutating func expression() throws(TemplateError) -> TemplateExpression {
        try deeper { (parser) throws(TemplateError) in
            var value: TemplateExpression = try parser.disjunction()
            while parser.accept(word: "if") {
                try parser.link()
                let condition: TemplateExpression = try parser.disjunction()
                let otherwise: TemplateExpression? = parser.accept(word: "else") ? try parser.expression() : nil
                value = .conditional(value, condition: condition, otherwise: otherwise)
            }
            return value
        }
    }

    mutating func disjunction() throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression = try conjunction()
        while accept(word: "or") {
            try link()
            value = .or(value, try conjunction())
        }
        return value
    }

    private mutating func conjunction() throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression = try negation()
        while accept(word: "and") {
            try link()
            value = .and(value, try negation())
        }
        return value
    }

    private mutating func negation() throws(TemplateError) -> TemplateExpression {
        guard accept(word: "not") else { return try comparison() }
        return try deeper { (parser) throws(TemplateError) in .not(try parser.negation()) }
    }

    private mutating func comparison() throws(TemplateError) -> TemplateExpression {
        let line: Int = line
        let first: TemplateExpression = try sum()
        var others: [(operation: String, operand: TemplateExpression)] = []
        while let operation = comparisonOperator() { others.append((operation, try sum())) }
        return others.isEmpty ? first : .comparison(first, others, line: line)
    }

    private mutating func comparisonOperator() -> String? {
        switch token.kind {
        case .symbol(let symbol) where ["==", "!=", "<", "<=", ">", ">="].contains(symbol):
            advance()
            return symbol
        case .name("in"):
            advance()
            return "in"
        case .name("not") where following == .name("in"):
            advance()
            advance()
            return "not in"
        default: return nil
        }
    }

    private mutating func operations(
        _ symbols: Set<String>, _ operand: (inout TemplateParser) throws(TemplateError) -> TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression = try operand(&self)
        while case .symbol(let symbol) = token.kind, symbols.contains(symbol) {
            let line: Int = line
            try link()
            advance()
            value = .operation(value, symbol, try operand(&self), line: line)
        }
        return value
    }

    private mutating func sum() throws(TemplateError) -> TemplateExpression {
        try operations(["+", "-"]) { (parser) throws(TemplateError) in try parser.concatenation() }
    }

    private mutating func concatenation() throws(TemplateError) -> TemplateExpression {
        try operations(["~"]) { (parser) throws(TemplateError) in try parser.product() }
    }

    private mutating func product() throws(TemplateError) -> TemplateExpression {
        try operations(["*", "/", "//", "%"]) { (parser) throws(TemplateError) in try parser.power() }
    }

    private mutating func power() throws(TemplateError) -> TemplateExpression {
        try operations(["**"]) { (parser) throws(TemplateError) in try parser.signed() }
    }

    private mutating func signed(withFilters: Bool = true) throws(TemplateError) -> TemplateExpression {
        let line: Int = line
        let value: TemplateExpression
        if token.kind == .symbol("-") || token.kind == .symbol("+") {
            let isNegative: Bool = token.kind == .symbol("-")
            advance()
            let operand: TemplateExpression = try deeper { (parser) throws(TemplateError) in try parser.signed(withFilters: false) }
            value = .sign(operand, isNegative: isNegative, line: line)
        } else {
            value = try primary()
        }
        let accessed: TemplateExpression = try postfix(value)
        return withFilters ? try filtered(accessed) : accessed
    }

    private mutating func primary() throws(TemplateError) -> TemplateExpression {
        let line: Int = line
        switch token.kind {
        case .name(let name):
            advance()
            if let value = Self.constants[name] { return .constant(value) }
            return .name(name, line: line)
        case .string(var text):
            advance()
            while case .string(let more) = token.kind {
                text += more
                advance()
            }
            return .constant(.string(text))
        case .integer(let value):
            advance()
            return .constant(.integer(value))
        case .number(let value):
            advance()
            return .constant(.number(value))
        case .symbol("("): return try parenthesized()
        case .symbol("["):
            advance()
            return .list(try items(until: "]"))
        case .symbol("{"): return try dictionary()
        default: throw failure("an expression is expected")
        }
    }

    private mutating func parenthesized() throws(TemplateError) -> TemplateExpression {
        advance()
        if accept(symbol: ")") { return .list([]) }
        let value: TemplateExpression = try tuple()
        try expect(symbol: ")")
        return value
    }

    private mutating func items(until end: String) throws(TemplateError) -> [TemplateExpression] {
        var items: [TemplateExpression] = []
        while !accept(symbol: end) {
            if !items.isEmpty {
                try expect(symbol: ",")
                if accept(symbol: end) { break }
            }
            items.append(try expression())
        }
        return items
    }

    private mutating func dictionary() throws(TemplateError) -> TemplateExpression {
        let line: Int = line
        advance()
        var entries: [(key: TemplateExpression, value: TemplateExpression)] = []
        while !accept(symbol: "}") {
            if !entries.isEmpty {
                try expect(symbol: ",")
                if accept(symbol: "}") { break }
            }
            let key: TemplateExpression = try expression()
            try expect(symbol: ":")
            entries.append((key, try expression()))
        }
        return .dictionary(entries, line: line)
    }

    /// Attributes, subscripts and calls behind a value.
    private mutating func postfix(_ value: TemplateExpression) throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression = value
        while true {
            let line: Int = line
            if accept(symbol: ".") {
                if case .integer(let index) = token.kind {
                    advance()
                    value = .subscripted(value, .constant(.integer(index)), line: line)
                } else {
                    value = .attribute(value, try name(), line: line)
                }
            } else if accept(symbol: "[") {
                value = try subscripted(value, line: line)
            } else if token.kind == .symbol("(") {
                value = .call(value, try arguments(), line: line)
            } else {
                return value
            }
            try link()
        }
    }

    private mutating func subscripted(_ value: TemplateExpression, line: Int) throws(TemplateError) -> TemplateExpression {
        var parts: [TemplateExpression?] = [nil]
        while !accept(symbol: "]") {
            if accept(symbol: ":") {
                parts.append(nil)
            } else if parts[parts.count - 1] == nil {
                parts[parts.count - 1] = try expression()
            } else {
                throw failure("']' is expected")
            }
        }
        switch parts.count {
        case 1:
            guard let index = parts[0] else { throw failure("an index is expected") }
            return .subscripted(value, index, line: line)
        case 2, 3: return .slice(value, start: parts[0], end: parts[1], step: parts.count == 3 ? parts[2] : nil, line: line)
        default: throw failure("']' is expected")
        }
    }

    private mutating func arguments() throws(TemplateError) -> TemplateCallSyntax {
        try expect(symbol: "(")
        var call: TemplateCallSyntax = TemplateCallSyntax()
        var isFirst: Bool = true
        while !accept(symbol: ")") {
            if !isFirst {
                try expect(symbol: ",")
                if accept(symbol: ")") { break }
            }
            isFirst = false
            if case .name(let name) = token.kind, following == .symbol("=") {
                advance()
                advance()
                call.named.append((name, try expression()))
            } else {
                if !call.named.isEmpty { throw failure("an argument without a name follows one with a name") }
                call.positional.append(try expression())
            }
        }
        return call
    }

    /// Filters and tests behind a value.
    private mutating func filtered(_ value: TemplateExpression) throws(TemplateError) -> TemplateExpression {
        var value: TemplateExpression = value
        while true {
            let line: Int = line
            if accept(symbol: "|") {
                let name: String = try name()
                guard TemplateFilters.names.contains(name) else { throw failure("the filter '\(name.prefix(40))' is not known") }
                value = .filter(value, name, token.kind == .symbol("(") ? try arguments() : TemplateCallSyntax(), line: line)
            } else if accept(word: "is") {
                let isNegated: Bool = accept(word: "not")
                let test: TemplateExpression = try test(value, line: line)
                value = isNegated ? .not(test) : test
            } else if token.kind == .symbol("(") {
                value = .call(value, try arguments(), line: line)
            } else {
                return value
            }
            try link()
        }
    }

    private mutating func test(_ value: TemplateExpression, line: Int) throws(TemplateError) -> TemplateExpression {
        let name: String
        if case .symbol(let symbol) = token.kind, TemplateTests.names.contains(symbol) {
            name = symbol
            advance()
        } else {
            name = try self.name()
        }
        guard TemplateTests.names.contains(name) else { throw failure("the test '\(name.prefix(40))' is not known") }
        var call: TemplateCallSyntax = TemplateCallSyntax()
        switch token.kind {
        case .symbol("("): call = try arguments()
        case .string, .integer, .number, .symbol("["), .symbol("{"): call.positional = [try postfix(try primary())]
        case .name(let word) where !["else", "or", "and", "is", "if", "in", "not"].contains(word):
            call.positional = [try postfix(try primary())]
        default: break
        }
        return .test(value, name, call, line: line)
    }
}
