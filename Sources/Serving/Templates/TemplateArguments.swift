/// The arguments of a call, with the line for errors.
struct TemplateArguments: Sendable {
    var positional: [TemplateValue] = []
    var named: TemplateDictionary = [:]
    let line: Int
    /// What is called, for errors.
    let name: String

    func failure(_ reason: String) -> TemplateError { .evaluation(line: line, "\(name): \(reason)") }

    /// The argument at a position or of a name.
    func value(_ index: Int, _ name: String) -> TemplateValue? {
        positional.indices.contains(index) ? positional[index] : named[name]
    }

    func required(_ index: Int, _ name: String) throws(TemplateError) -> TemplateValue {
        guard let value = value(index, name) else { throw failure("the argument '\(name)' is missing") }
        return value
    }

    /// A string, or nil where there is none, or `none`.
    func text(_ index: Int, _ name: String) throws(TemplateError) -> String? {
        switch value(index, name) {
        case nil, .some(.null): return nil
        case .some(.string(let text)): return text
        case .some(let other): throw failure("'\(name)' has to be a string, not \(other.kind)")
        }
    }

    func requiredText(_ index: Int, _ name: String) throws(TemplateError) -> String {
        guard let text = try text(index, name) else { throw failure("the argument '\(name)' is missing") }
        return text
    }

    func whole(_ index: Int, _ name: String) throws(TemplateError) -> Int? {
        switch value(index, name) {
        case nil, .some(.null): return nil
        case .some(let value):
            guard let whole = value.whole else { throw failure("'\(name)' has to be a whole number, not \(value.kind)") }
            return whole
        }
    }

    /// Whether the argument is there and true.
    func flag(_ index: Int, _ name: String) -> Bool { value(index, name)?.isTrue ?? false }

    /// More arguments without a name are an error.
    func atMost(_ count: Int) throws(TemplateError) {
        if positional.count > count { throw failure("\(positional.count) arguments where at most \(count) are taken") }
    }
}
