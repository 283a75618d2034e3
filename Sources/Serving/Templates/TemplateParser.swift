/// Reads the statements of a template; ``TemplateParser+Expressions`` has the expressions.
struct TemplateParser {
    private let tokens: [TemplateToken]
    private var position: Int = 0
    private var depth: Int = 0
    private var loops: Int = 0
    /// Operators, filters and the like of the tag that is being read; a chain of them is as deep as it is long.
    private var links: Int = 0

    /// Statements and expressions may lie in one another this deep.
    private static let mostDepth: Int = 60
    private static let mostLinks: Int = 400

    /// - Throws: ``TemplateError/syntax(line:_:)``.
    static func statements(of text: String) throws(TemplateError) -> [TemplateStatement] {
        var parser: TemplateParser = TemplateParser(tokens: try TemplateLexer.tokens(of: text))
        let (body, end): ([TemplateStatement], String?) = try parser.statements(until: [])
        assert(end == nil)
        return body
    }

    private init(tokens: [TemplateToken]) { self.tokens = tokens }

    // MARK: Tokens

    var token: TemplateToken { tokens[position] }
    var line: Int { token.line }
    /// The token after the next one.
    var following: TemplateToken.Kind { tokens[min(position + 1, tokens.count - 1)].kind }

    func failure(_ reason: String) -> TemplateError { .syntax(line: line, reason) }

    mutating func advance() { position = min(position + 1, tokens.count - 1) }

    mutating func accept(_ kind: TemplateToken.Kind) -> Bool {
        guard token.kind == kind else { return false }
        advance()
        return true
    }

    mutating func accept(symbol: String) -> Bool { accept(.symbol(symbol)) }
    mutating func accept(word: String) -> Bool { accept(.name(word)) }

    mutating func expect(_ kind: TemplateToken.Kind, _ what: String) throws(TemplateError) {
        guard accept(kind) else { throw failure("\(what) is expected") }
    }

    mutating func expect(symbol: String) throws(TemplateError) { try expect(.symbol(symbol), "'\(symbol)'") }

    mutating func name() throws(TemplateError) -> String {
        guard case .name(let name) = token.kind else { throw failure("a name is expected") }
        advance()
        return name
    }

    mutating func deeper<Result>(_ body: (inout TemplateParser) throws(TemplateError) -> Result) throws(TemplateError) -> Result {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.mostDepth { throw failure("nested deeper than \(Self.mostDepth) levels") }
        return try body(&self)
    }

    /// Counts one more operator of a chain.
    mutating func link() throws(TemplateError) {
        links += 1
        if links > Self.mostLinks { throw failure("more than \(Self.mostLinks) operators in one tag") }
    }

    // MARK: Statements

    /// Statements up to one of the words, which is given with them and whose block is left open; nil at the end of the template.
    private mutating func statements(until ends: Set<String>) throws(TemplateError) -> ([TemplateStatement], String?) {
        var body: [TemplateStatement] = []
        while true {
            switch token.kind {
            case .text(let text):
                body.append(.text(text))
                advance()
            case .outputBegin:
                links = 0
                let line: Int = line
                advance()
                body.append(.output(try tuple(), line: line))
                try expect(.outputEnd, "'}}'")
            case .blockBegin:
                links = 0
                advance()
                let word: String = try name()
                if ends.contains(word) { return (body, word) }
                try statement(word, into: &body)
            default:
                if !ends.isEmpty { throw failure("\(ends.sorted().joined(separator: " or ")) is missing") }
                return (body, nil)
            }
        }
    }

    private mutating func block(until ends: Set<String>) throws(TemplateError) -> ([TemplateStatement], String) {
        try endBlock()
        let (body, end): ([TemplateStatement], String?) = try deeper { (parser) throws(TemplateError) in try parser.statements(until: ends)
        }
        return (body, end ?? "")
    }

    private mutating func endBlock() throws(TemplateError) { try expect(.blockEnd, "'%}'") }

    private mutating func statement(_ word: String, into body: inout [TemplateStatement]) throws(TemplateError) {
        switch word {
        case "for": body.append(try loop())
        case "if": body.append(try branch())
        case "set": body.append(try assignment())
        case "macro": body.append(try macro())
        case "break", "continue":
            if loops == 0 { throw failure("\(word) stands in no loop") }
            try endBlock()
            body.append(word == "break" ? .breakLoop : .continueLoop)
        case "generation":
            // Marks the assistant's text for training; it renders as what it holds.
            body += try block(until: ["endgeneration"]).0
            try endBlock()
        default: throw failure("the statement '\(word.prefix(40))' is not known")
        }
    }

    private mutating func loop() throws(TemplateError) -> TemplateStatement {
        let line: Int = line
        let target: TemplateTarget = try target()
        guard accept(word: "in") else { throw failure("'in' is expected") }
        let items: TemplateExpression = try tuple(allowingConditional: false)
        let condition: TemplateExpression? = accept(word: "if") ? try expression() : nil
        if token.kind == .name("recursive") { throw failure("recursive loops are not supported") }
        loops += 1
        let (body, end): ([TemplateStatement], String) = try block(until: ["else", "endfor"])
        loops -= 1
        let otherwise: [TemplateStatement] = end == "else" ? try block(until: ["endfor"]).0 : []
        try endBlock()
        return .loop(target, in: items, condition: condition, body: body, otherwise: otherwise, line: line)
    }

    private mutating func branch() throws(TemplateError) -> TemplateStatement {
        var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
        var end: String = "elif"
        while end == "elif" {
            let condition: TemplateExpression = try tuple()
            let part: ([TemplateStatement], String) = try block(until: ["elif", "else", "endif"])
            branches.append((condition, part.0))
            end = part.1
        }
        let otherwise: [TemplateStatement] = end == "else" ? try block(until: ["endif"]).0 : []
        try endBlock()
        return .branch(branches, otherwise: otherwise)
    }

    private mutating func assignment() throws(TemplateError) -> TemplateStatement {
        let line: Int = line
        let target: TemplateTarget = try target(allowingAttribute: true)
        if accept(symbol: "=") {
            let value: TemplateExpression = try tuple()
            try endBlock()
            return .set(target, value, line: line)
        }
        guard case .name(let name) = target else { throw failure("'=' is expected") }
        let (body, _): ([TemplateStatement], String) = try block(until: ["endset"])
        try endBlock()
        return .capture(name, body)
    }

    private mutating func target(allowingAttribute: Bool = false) throws(TemplateError) -> TemplateTarget {
        let isInParentheses: Bool = accept(symbol: "(")
        let first: String = try targetName()
        if allowingAttribute, !isInParentheses, accept(symbol: ".") { return .attribute(first, try name()) }
        var names: [String] = [first]
        while accept(symbol: ",") {
            guard case .name(let next) = token.kind, next != "in" else { break }
            names.append(try targetName())
        }
        if isInParentheses { try expect(symbol: ")") }
        return names.count == 1 ? .name(first) : .names(names)
    }

    private mutating func targetName() throws(TemplateError) -> String {
        let name: String = try name()
        if Self.constants[name] != nil { throw failure("\(name) cannot be set") }
        return name
    }

    private mutating func macro() throws(TemplateError) -> TemplateStatement {
        let name: String = try targetName()
        try expect(symbol: "(")
        var parameters: [(name: String, standard: TemplateExpression?)] = []
        while !accept(symbol: ")") {
            if !parameters.isEmpty { try expect(symbol: ",") }
            let parameter: String = try targetName()
            let standard: TemplateExpression? = accept(symbol: "=") ? try expression() : nil
            if standard == nil, parameters.last?.standard != nil { throw failure("a parameter without a default follows one that has it") }
            parameters.append((parameter, standard))
        }
        let outer: Int = loops
        loops = 0
        let (body, _): ([TemplateStatement], String) = try block(until: ["endmacro"])
        loops = outer
        try endBlock()
        return .macro(TemplateMacro(name: name, parameters: parameters, body: body))
    }
}
