/// A chat template in Jinja, as Hugging Face's `tokenizer_config.json` has it.
///
/// The part of the language that chat templates use: `for`, `if`, `set`, `macro`, `break`, `continue`, `generation` and `raw`; all operators, slices,
/// filters, tests and methods that are usual in them; `namespace`, `range`, `dict`, `raise_exception` and `strftime_now`. What is not known is an error when the
/// template is read, never passed over. White space is as with `trim_blocks` and `lstrip_blocks`. Lists and mappings cannot be changed in place, tuples are
/// lists, and methods are called, not passed on.
///
/// A template comes with somebody's model, so a rendering has bounds: on its steps, time, depth and on the size of every value.
struct JinjaTemplate: Sendable {
    private let statements: [TemplateStatement]
    private let limits: TemplateLimits

    /// Longest template in bytes.
    static let mostBytes: Int = 1 << 20

    /// - Throws: ``TemplateError/syntax(line:_:)``.
    init(_ source: String) throws(TemplateError) { try self.init(source, limits: TemplateLimits()) }

    init(_ source: String, limits: TemplateLimits) throws(TemplateError) {
        if source.utf8.count > Self.mostBytes { throw .limit("is longer than \(Self.mostBytes) bytes") }
        statements = try DeepStack.run { () throws(TemplateError) in try TemplateParser.statements(of: source) }
        self.limits = limits
    }

    /// The text that the template makes.
    /// - Parameter context: the values of names.
    /// - Throws: ``TemplateError``.
    func render(_ context: TemplateDictionary) throws(TemplateError) -> String {
        try DeepStack.run { () throws(TemplateError) in
            var evaluator: TemplateEvaluator = TemplateEvaluator(context, limits: limits)
            defer { evaluator.clearNamespaces() }
            return try evaluator.render(statements)
        }
    }
}
