/// A value to compute, with the line that it stands in.
indirect enum TemplateExpression: Sendable {
    case constant(TemplateValue)
    case name(String, line: Int)
    case list([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)], line: Int)
    case attribute(TemplateExpression, String, line: Int)
    case subscripted(TemplateExpression, TemplateExpression, line: Int)
    case slice(TemplateExpression, start: TemplateExpression?, end: TemplateExpression?, step: TemplateExpression?, line: Int)
    case call(TemplateExpression, TemplateCallSyntax, line: Int)
    case filter(TemplateExpression, String, TemplateCallSyntax, line: Int)
    case test(TemplateExpression, String, TemplateCallSyntax, line: Int)
    case not(TemplateExpression)
    case sign(TemplateExpression, isNegative: Bool, line: Int)
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case operation(TemplateExpression, String, TemplateExpression, line: Int)
    case comparison(TemplateExpression, [(operation: String, operand: TemplateExpression)], line: Int)
    case conditional(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression?)
}

/// The arguments of a call.
struct TemplateCallSyntax: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}

/// What a `for` or a `set` writes to.
enum TemplateTarget: Sendable {
    case name(String)
    case names([String])
    /// Of a namespace.
    case attribute(String, String)
}

indirect enum TemplateStatement: Sendable {
    case text(String)
    case output(TemplateExpression, line: Int)
    case loop(
        TemplateTarget, in: TemplateExpression, condition: TemplateExpression?, body: [TemplateStatement], otherwise: [TemplateStatement],
        line: Int)
    case branch([(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case set(TemplateTarget, TemplateExpression, line: Int)
    case capture(String, [TemplateStatement])
    case macro(TemplateMacro)
    case breakLoop
    case continueLoop
}

final class TemplateMacro: Sendable {
    let name: String
    let parameters: [(name: String, standard: TemplateExpression?)]
    let body: [TemplateStatement]

    init(name: String, parameters: [(name: String, standard: TemplateExpression?)], body: [TemplateStatement]) {
        self.name = name
        self.parameters = parameters
        self.body = body
    }
}
