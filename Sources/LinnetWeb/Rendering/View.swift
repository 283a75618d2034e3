import Experiments
import Mustache

/// What a template reads, by name. A value that is nil is left out, so that a section on it is not drawn.
struct View: MustacheParent, ExpressibleByDictionaryLiteral, Sendable {
    private var values: [String: any Sendable]

    init(dictionaryLiteral elements: (String, (any Sendable)?)...) {
        values = Dictionary(elements.compactMap { name, value in value.map { (name, $0) } }, uniquingKeysWith: { _, last in last })
    }

    func child(named name: String) -> Any? { values[name] }

    /// Both, the other's values winning.
    func merging(_ other: View) -> View {
        var merged: View = self
        merged.values.merge(other.values) { _, new in new }
        return merged
    }
}

/// Markup that the application made itself and escaped where it was made: the only thing that templates may write as it is.
struct Markup: MustacheCustomRenderable, Sendable {
    let renderText: String
    let isNull: Bool = false
}

/// Escapes as `HTML` does. Mustache's own escaping goes by characters, and so lets a quotation mark pass that has a combining mark behind it; in
/// an attribute the browser takes it for the end.
struct ScalarEscaping: MustacheContentType {
    static let name: String = "LINNET"

    func escapeText(_ text: String) -> String { HTML.escaped(text) }
}
