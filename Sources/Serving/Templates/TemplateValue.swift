import Foundation

/// A value in a template. Strings are compared by their Unicode scalars, as in Python.
indirect enum TemplateValue: Sendable {
    /// What a name stands for that has no value; the name is kept for errors.
    case undefined(String)
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case list([TemplateValue])
    case dictionary(TemplateDictionary)
    case namespace(TemplateNamespace)
    case function(TemplateFunction)

    /// Whether a condition holds with it.
    var isTrue: Bool {
        switch self {
        case .undefined, .null: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let items): !items.isEmpty
        case .dictionary(let entries): !entries.entries.isEmpty
        case .namespace, .function: true
        }
    }

    /// Its type for errors.
    var kind: String {
        switch self {
        case .undefined: "an undefined value"
        case .null: "none"
        case .bool: "a truth value"
        case .integer, .number: "a number"
        case .string: "a string"
        case .list: "a list"
        case .dictionary: "a mapping"
        case .namespace: "a namespace"
        case .function: "a function"
        }
    }

    /// A number, or a truth value as 0 or 1.
    var numeric: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// A whole number, or a truth value as 0 or 1.
    var whole: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// Whether two values are equal, as `==` in a template says.
    func equals(_ other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.null, .null): return true
        case (.string(let one), .string(let two)): return one.isIdentical(to: two)
        case (.list(let one), .list(let two)): return one.count == two.count && zip(one, two).allSatisfy { $0.equals($1) }
        case (.dictionary(let one), .dictionary(let two)):
            return one.entries.count == two.entries.count
                && one.entries.allSatisfy { entry in two[entry.key].map { $0.equals(entry.value) } ?? false }
        case (.namespace(let one), .namespace(let two)): return one === two
        default:
            if let one = whole, let two = other.whole { return one == two }
            guard let one = numeric, let two = other.numeric else { return false }
            return one == two
        }
    }

    /// -1, 0 or 1 where the two have an order, else nil.
    func order(to other: TemplateValue) -> Int? {
        switch (self, other) {
        case (.string(let one), .string(let two)):
            if one.isIdentical(to: two) { return 0 }
            return one.unicodeScalars.lexicographicallyPrecedes(two.unicodeScalars) ? -1 : 1
        case (.list(let one), .list(let two)):
            for (left, right) in zip(one, two) where !left.equals(right) { return left.order(to: right) }
            return one.count == two.count ? 0 : one.count < two.count ? -1 : 1
        default:
            if let one = whole, let two = other.whole { return one == two ? 0 : one < two ? -1 : 1 }
            guard let one = numeric, let two = other.numeric else { return nil }
            return one == two ? 0 : one < two ? -1 : 1
        }
    }
}

/// A mapping from strings, in the order of its making.
struct TemplateDictionary: Sendable, ExpressibleByDictionaryLiteral {
    private(set) var entries: [(key: String, value: TemplateValue)] = []
    /// Where each key stands, by its UTF-8: keys of Swift's dictionaries are the same where they are canonically equivalent.
    private var places: [[UInt8]: Int] = [:]

    init(dictionaryLiteral elements: (String, TemplateValue)...) {
        for (key, value) in elements { set(key, to: value) }
    }

    subscript(key: String) -> TemplateValue? { places[Array(key.utf8)].map { entries[$0].value } }

    mutating func set(_ key: String, to value: TemplateValue) {
        let place: Int = places[Array(key.utf8), default: entries.count]
        if place < entries.count {
            entries[place].value = value
        } else {
            places[Array(key.utf8)] = place
            entries.append((key, value))
        }
    }
}

/// `namespace()`: values that a loop can change for what follows it. A rendering has its own, on one thread.
final class TemplateNamespace: @unchecked Sendable {
    var values: TemplateDictionary

    init(_ values: TemplateDictionary) { self.values = values }
}

/// Something that a template can call by its name.
final class TemplateFunction: Sendable {
    let name: String
    let body: @Sendable (inout TemplateEvaluator, TemplateArguments) throws(TemplateError) -> TemplateValue

    init(
        _ name: String, _ body: @escaping @Sendable (inout TemplateEvaluator, TemplateArguments) throws(TemplateError) -> TemplateValue
    ) {
        self.name = name
        self.body = body
    }
}

extension String {
    /// Whether the scalars are the same; `==` of Swift compares by canonical equivalence.
    func isIdentical(to other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
