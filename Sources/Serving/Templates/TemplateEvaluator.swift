/// What a rendering may use up. Templates come from the folder of a model, which may be anybody's.
struct TemplateLimits: Sendable {
    /// Steps: a step is an expression, a statement, or sixteen bytes of text that are made or looked through.
    var steps: Int = 4_000_000
    var seconds: Double = 2
    /// Bytes of a text, and about those that it takes to write a list or a mapping.
    var size: Int = 4 << 20
    /// Expressions and statements in one another, through macros as well: each takes some of the thread's stack.
    var depth: Int = 200
    /// Lists and mappings in one another.
    var valueDepth: Int = 64
}

/// Renders the statements of one template once.
struct TemplateEvaluator {
    private let limits: TemplateLimits
    private let deadline: ContinuousClock.Instant
    private var steps: Int = 0
    private var nextLook: Int = 0
    private var depth: Int = 0
    /// The innermost last. Loops and macros have one each.
    private var scopes: [TemplateDictionary]
    private var output: String = ""
    /// All that were made: they can hold one another in a circle, or in a chain of any length.
    private var namespaces: [TemplateNamespace] = []

    private enum Flow { case goesOn, breaks, continues }

    init(_ context: TemplateDictionary, limits: TemplateLimits) {
        self.limits = limits
        deadline = .now + .seconds(limits.seconds)
        scopes = [context]
    }

    mutating func render(_ statements: [TemplateStatement]) throws(TemplateError) -> String {
        _ = try run(statements)
        return output
    }

    mutating func namespace(_ values: TemplateDictionary) -> TemplateNamespace {
        let namespace: TemplateNamespace = TemplateNamespace(values)
        namespaces.append(namespace)
        return namespace
    }

    /// Takes the namespaces apart while all of them are held, so that circles do not stay in memory and chains do not end in one another.
    func clearNamespaces() {
        for namespace in namespaces { namespace.values = [:] }
    }

    /// Counts work, and ends the rendering when it is too much.
    mutating func charge(_ count: Int = 1) throws(TemplateError) {
        steps += count
        if steps > limits.steps { throw .limit("takes more than \(limits.steps) steps") }
        guard steps >= nextLook else { return }
        nextLook = steps + 4096
        if .now > deadline { throw .limit("takes longer than \(limits.seconds) seconds") }
    }

    /// Counts a text of so many bytes, before it is made.
    mutating func charge(size: Int) throws(TemplateError) {
        if size > limits.size { throw .limit("makes a value larger than \(limits.size) bytes") }
        try charge(1 + size / 16)
    }

    /// Counts a value that is made or looked through, and refuses one that is too large or too deep. A value may hold another many times.
    mutating func charge(_ value: TemplateValue) throws(TemplateError) {
        var left: Int = limits.size
        guard value.fits(&left, depth: limits.valueDepth) else { throw .limit("makes a value that is too large or nested too deep") }
        try charge(1 + (limits.size - left) / 16)
    }

    /// Goes a level deeper into the template; ``leave()`` comes back.
    mutating func enter() throws(TemplateError) {
        if depth == limits.depth { throw .limit("nests statements, expressions and macros deeper than \(limits.depth) levels") }
        depth += 1
        try charge()
    }

    mutating func leave() { depth -= 1 }

    private mutating func write(_ text: String) throws(TemplateError) {
        try charge(size: text.utf8.count)
        output += text
        if output.utf8.count > limits.size { throw .limit("makes a text larger than \(limits.size)") }
    }

    // MARK: Names

    private func lookUp(_ name: String) -> TemplateValue? {
        for scope in scopes.reversed() { if let value = scope[name] { return value } }
        return nil
    }

    private mutating func set(_ name: String, _ value: TemplateValue) { scopes[scopes.count - 1].set(name, to: value) }

    private mutating func assign(_ target: TemplateTarget, _ value: TemplateValue, line: Int) throws(TemplateError) {
        switch target {
        case .name(let name): set(name, value)
        case .names(let names):
            let items: [TemplateValue] = try elements(of: value, line: line)
            guard items.count == names.count else {
                throw .evaluation(line: line, "\(items.count) values for \(names.count) names")
            }
            for (name, item) in zip(names, items) { set(name, item) }
        case .attribute(let name, let attribute):
            guard case .namespace(let space)? = lookUp(name) else {
                throw .evaluation(line: line, "'\(name)' is no namespace, so its attributes cannot be set")
            }
            space.values.set(attribute, to: value)
        }
    }

    // MARK: Statements

    private mutating func run(_ statements: [TemplateStatement]) throws(TemplateError) -> Flow {
        try enter()
        defer { leave() }
        for statement in statements {
            try charge()
            switch statement {
            case .text(let text): try write(text)
            case .output(let expression, _): try write(printed(try evaluate(expression)))
            case .set(let target, let expression, let line): try assign(target, try evaluate(expression), line: line)
            case .capture(let name, let body): set(name, .string(try captured(body)))
            case .macro(let macro): set(macro.name, .function(TemplateFunction(macro)))
            case .breakLoop: return .breaks
            case .continueLoop: return .continues
            case .branch(let branches, let otherwise):
                var chosen: [TemplateStatement] = otherwise
                for branch in branches {
                    guard try evaluate(branch.condition).isTrue else { continue }
                    chosen = branch.body
                    break
                }
                let flow: Flow = try run(chosen)
                if flow != .goesOn { return flow }
            case .loop(let target, let items, let condition, let body, let otherwise, let line):
                try loop(target, items, condition, body, otherwise, line: line)
            }
        }
        return .goesOn
    }

    private mutating func printed(_ value: TemplateValue) throws(TemplateError) -> String {
        try charge(value)
        return TemplateText.printed(value)
    }

    /// What statements write, without writing it.
    private mutating func captured(_ body: [TemplateStatement]) throws(TemplateError) -> String {
        let before: String = output
        output = ""
        defer { output = before }
        _ = try run(body)
        return output
    }

    private mutating func loop(
        _ target: TemplateTarget, _ items: TemplateExpression, _ condition: TemplateExpression?, _ body: [TemplateStatement],
        _ otherwise: [TemplateStatement], line: Int
    ) throws(TemplateError) {
        var values: [TemplateValue] = try elements(of: try evaluate(items), line: line)
        scopes.append([:])
        defer { scopes.removeLast() }
        if let condition {
            var kept: [TemplateValue] = []
            for value in values {
                try assign(target, value, line: line)
                if try evaluate(condition).isTrue { kept.append(value) }
            }
            values = kept
        }
        for index in values.indices {
            scopes[scopes.count - 1] = ["loop": .dictionary(Self.loopVariables(values, index))]
            try assign(target, values[index], line: line)
            if try run(body) == .breaks { break }
        }
        if values.isEmpty {
            scopes[scopes.count - 1] = [:]
            _ = try run(otherwise)
        }
    }

    private static func loopVariables(_ values: [TemplateValue], _ index: Int) -> TemplateDictionary {
        let count: Int = values.count
        let cycle: TemplateFunction = TemplateFunction("loop.cycle") { (_, arguments) throws(TemplateError) in
            if arguments.positional.isEmpty { throw arguments.failure("there is nothing to take turns") }
            return arguments.positional[index % arguments.positional.count]
        }
        return [
            "index": .integer(index + 1), "index0": .integer(index), "revindex": .integer(count - index),
            "revindex0": .integer(count - index - 1), "first": .bool(index == 0), "last": .bool(index == count - 1),
            "length": .integer(count), "previtem": index > 0 ? values[index - 1] : .undefined("loop.previtem"),
            "nextitem": index + 1 < count ? values[index + 1] : .undefined("loop.nextitem"), "cycle": .function(cycle),
        ]
    }

    /// What a loop over a value goes through.
    mutating func elements(of value: TemplateValue, line: Int) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .undefined: return []
        case .list(let items): return items
        case .dictionary(let entries): return entries.entries.map { .string($0.key) }
        case .string(let text):
            try charge(size: text.utf8.count)
            return text.unicodeScalars.map { .string(String($0)) }
        default: throw .evaluation(line: line, "\(value.kind) has no elements to go through")
        }
    }

    // MARK: Calls

    mutating func call(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError) -> TemplateValue {
        guard case .function(let function) = value else {
            if case .undefined(let name) = value { throw .evaluation(line: arguments.line, "'\(name)' is undefined") }
            throw .evaluation(line: arguments.line, "\(value.kind) cannot be called")
        }
        return try function.body(&self, arguments)
    }

    /// Renders a macro: it sees its parameters and what is set outside of loops.
    fileprivate mutating func call(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws(TemplateError) -> TemplateValue {
        try arguments.atMost(macro.parameters.count)
        for entry in arguments.named.entries where !macro.parameters.contains(where: { $0.name == entry.key }) {
            throw arguments.failure("there is no parameter '\(entry.key)'")
        }
        let outer: [TemplateDictionary] = scopes
        defer { scopes = outer }
        scopes = [outer[0], [:]]
        for (index, parameter) in macro.parameters.enumerated() {
            if let given = arguments.value(index, parameter.name) {
                set(parameter.name, given)
            } else if let standard = parameter.standard {
                set(parameter.name, try evaluate(standard))
            } else {
                set(parameter.name, .undefined(parameter.name))
            }
        }
        return .string(try captured(macro.body))
    }

    func resolved(_ name: String) -> TemplateValue { lookUp(name) ?? TemplateFunctions.all[name] ?? .undefined(name) }
}

extension TemplateFunction {
    fileprivate convenience init(_ macro: TemplateMacro) {
        self.init(macro.name) { (evaluator, arguments) throws(TemplateError) in try evaluator.call(macro, arguments) }
    }
}

extension TemplateValue {
    /// Whether about as many bytes as are left, and levels, are enough to write it; takes the bytes from those that are left.
    func fits(_ left: inout Int, depth: Int) -> Bool {
        left -= 8
        guard left >= 0, depth >= 0 else { return false }
        switch self {
        case .string(let text):
            left -= text.utf8.count
            return left >= 0
        case .list(let items): return items.allSatisfy { $0.fits(&left, depth: depth - 1) }
        case .dictionary(let entries):
            return entries.entries.allSatisfy { entry in
                left -= entry.key.utf8.count
                return entry.value.fits(&left, depth: depth - 1)
            }
        default: return true
        }
    }
}
