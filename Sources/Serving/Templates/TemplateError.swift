/// What is wrong with a chat template, or with the messages that it is given. Each description is one line.
public enum TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The template cannot be read.
    case syntax(line: Int, String)
    /// An expression has no value with these messages.
    case evaluation(line: Int, String)
    /// The template itself refuses the messages (`raise_exception`).
    case raised(String)
    /// Rendering takes more steps, time, depth or text than templates get.
    case limit(String)

    public var description: String { text.split(whereSeparator: \.isNewline).joined(separator: " ") }

    private var text: String {
        switch self {
        case .syntax(let line, let reason): "line \(line) of the template: \(reason)"
        case .evaluation(let line, let reason): "line \(line) of the template: \(reason)"
        case .raised(let reason): "the template refuses the messages: \(reason)"
        case .limit(let reason): "the template \(reason)"
        }
    }
}
