/// The methods of strings, lists and mappings that templates call.
enum TemplateMethods {
    typealias Method = (inout TemplateEvaluator, TemplateArguments) throws(TemplateError) -> TemplateValue

    /// The method of a value; nil where there is none of that name. Nothing in a template changes a value in place.
    ///
    /// It is called at once and never becomes a value: methods that hold lists that hold methods would be nested without a bound.
    static func method(_ name: String, of value: TemplateValue) -> Method? {
        switch value {
        case .string(let text) where stringNames.contains(name):
            { (evaluator, arguments) throws(TemplateError) in
                try evaluator.charge(size: text.utf8.count)
                return try string(name, text, arguments, &evaluator)
            }
        case .list(let items) where listNames.contains(name):
            { (evaluator, arguments) throws(TemplateError) in
                try evaluator.charge(value)
                return try list(name, items, arguments)
            }
        case .dictionary(let entries) where mappingNames.contains(name):
            { (evaluator, arguments) throws(TemplateError) in
                try evaluator.charge(1 + entries.entries.count)
                return try mapping(name, entries, arguments)
            }
        default: nil
        }
    }

    // MARK: Strings

    private static let stringNames: Set<String> = [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "upper", "lower", "title", "capitalize",
        "replace", "find", "rfind", "count", "join", "removeprefix", "removesuffix", "isdigit", "isalpha", "isspace", "isupper", "islower",
    ]

    private static func string(
        _ name: String, _ text: String, _ arguments: TemplateArguments, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "strip": return .string(TemplateStrings.stripped(text, try arguments.text(0, "chars")))
        case "lstrip": return .string(TemplateStrings.stripped(text, try arguments.text(0, "chars"), end: false))
        case "rstrip": return .string(TemplateStrings.stripped(text, try arguments.text(0, "chars"), start: false))
        case "split", "rsplit": return try split(text, arguments, fromEnd: name == "rsplit")
        case "splitlines": return .list(lines(text).map { .string($0) })
        case "startswith": return .bool(try affixes(arguments).contains { Array(text.utf8).starts(with: $0.utf8) })
        case "endswith": return .bool(try affixes(arguments).contains { text.utf8.reversed().starts(with: $0.utf8.reversed()) })
        case "upper": return .string(text.uppercased())
        case "lower": return .string(text.lowercased())
        case "title": return .string(TemplateStrings.titled(text))
        case "capitalize": return .string(TemplateStrings.capitalized(text))
        case "replace":
            let (old, new): (String, String) = (try arguments.requiredText(0, "old"), try arguments.requiredText(1, "new"))
            return .string(try replaced(text, old, new, most: try arguments.whole(2, "count"), &evaluator))
        case "find", "rfind", "count": return .integer(try occurrences(name, text, try arguments.requiredText(0, "sub")))
        case "join":
            let items: [TemplateValue] = try evaluator.elements(of: arguments.required(0, "iterable"), line: arguments.line)
            for item in items where item.text == nil { throw arguments.failure("only strings can be joined, not \(item.kind)") }
            return .string(try joined(items, text, &evaluator))
        case "removeprefix":
            let prefix: String = try arguments.requiredText(0, "prefix")
            let starts: Bool = Array(text.utf8).starts(with: prefix.utf8)
            return .string(starts ? String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : text)
        case "removesuffix":
            let suffix: String = try arguments.requiredText(0, "suffix")
            let ends: Bool = text.utf8.reversed().starts(with: suffix.utf8.reversed())
            return .string(ends ? String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self) : text)
        default: return .bool(isAll(name, text))
        }
    }

    private static func isAll(_ name: String, _ text: String) -> Bool {
        let scalars: String.UnicodeScalarView = text.unicodeScalars
        switch name {
        case "isdigit":
            return !text.isEmpty && scalars.allSatisfy { $0.properties.numericType != nil && $0.properties.numericType != .numeric }
        case "isalpha": return !text.isEmpty && scalars.allSatisfy { $0.properties.isAlphabetic }
        case "isspace": return !text.isEmpty && scalars.allSatisfy(\.isTemplateSpace)
        case "isupper": return scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase }
        default: return scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase }
        }
    }

    /// A string, or each of a list of them.
    private static func affixes(_ arguments: TemplateArguments) throws(TemplateError) -> [String] {
        let value: TemplateValue = try arguments.required(0, "prefix")
        let texts: [String] = if case .list(let items) = value { items.compactMap(\.text) } else { [value].compactMap(\.text) }
        if texts.isEmpty { throw arguments.failure("a string is needed, not \(value.kind)") }
        return texts
    }

    private static func split(_ text: String, _ arguments: TemplateArguments, fromEnd: Bool) throws(TemplateError) -> TemplateValue {
        let given: Int? = try arguments.whole(1, "maxsplit")
        let most: Int? = given.flatMap { $0 < 0 ? nil : $0 }
        guard let separator = try arguments.text(0, "sep") else {
            if fromEnd, most != nil { throw arguments.failure("a separator is needed with maxsplit") }
            return .list(TemplateStrings.words(text, most: most).map { .string($0) })
        }
        if separator.isEmpty { throw arguments.failure("the separator is empty") }
        var parts: [String] = TemplateStrings.split(text, by: separator, most: fromEnd ? nil : most)
        if fromEnd, let most, parts.count > most + 1 {
            let front: [String] = Array(parts.prefix(parts.count - most))
            parts = [front.joined(separator: separator)] + parts.suffix(most)
        }
        return .list(parts.map { .string($0) })
    }

    private static func lines(_ text: String) -> [String] {
        let parts: [String] = TemplateStrings.split(text.replacingLineBreaks, by: "\n", most: nil)
        return parts.last == "" ? Array(parts.dropLast()) : parts
    }

    private static func occurrences(_ name: String, _ text: String, _ searched: String) throws(TemplateError) -> Int {
        if name == "count" {
            return searched.isEmpty ? text.unicodeScalars.count + 1 : TemplateStrings.split(text, by: searched, most: nil).count - 1
        }
        let parts: [String] = searched.isEmpty ? [""] : TemplateStrings.split(text, by: searched, most: name == "find" ? 1 : nil)
        if searched.isEmpty { return name == "find" ? 0 : text.unicodeScalars.count }
        if parts.count == 1 { return -1 }
        if name == "find" { return parts[0].unicodeScalars.count }
        return text.unicodeScalars.count - searched.unicodeScalars.count - parts[parts.count - 1].unicodeScalars.count
    }

    static func replaced(
        _ text: String, _ old: String, _ new: String, most: Int?, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> String {
        let bound: Int? = most.flatMap { $0 < 0 ? nil : $0 }
        // An empty text lies before every character and at the end.
        let parts: [String] =
            if old.isEmpty { [""] + text.unicodeScalars.map { String($0) } + [""] } else {
                TemplateStrings.split(text, by: old, most: bound)
            }
        let gaps: Int = old.isEmpty ? min(bound ?? .max, parts.count - 1) : parts.count - 1
        let size: (partialValue: Int, overflow: Bool) = gaps.multipliedReportingOverflow(by: new.utf8.count)
        try evaluator.charge(size: size.overflow || size.partialValue > 1 << 40 ? .max : text.utf8.count + size.partialValue)
        guard old.isEmpty, gaps < parts.count - 1 else { return parts.joined(separator: new) }
        return parts.prefix(gaps + 1).joined(separator: new) + parts.dropFirst(gaps + 1).joined()
    }

    static func joined(
        _ items: [TemplateValue], _ separator: String, _ evaluator: inout TemplateEvaluator
    ) throws(TemplateError) -> String {
        try evaluator.charge(.list(items))
        let size: (partialValue: Int, overflow: Bool) = items.count.multipliedReportingOverflow(by: separator.utf8.count)
        try evaluator.charge(size: size.overflow ? .max : size.partialValue)
        return items.map { TemplateText.printed($0) }.joined(separator: separator)
    }

    // MARK: Lists and mappings

    private static let listNames: Set<String> = [
        "index", "count", "append", "extend", "insert", "pop", "remove", "clear", "reverse", "sort",
    ]

    private static func list(_ name: String, _ items: [TemplateValue], _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        guard name == "index" || name == "count" else { throw arguments.failure("a template cannot change a list") }
        let value: TemplateValue = try arguments.required(0, "value")
        if name == "count" { return .integer(items.count(where: { $0.equals(value) })) }
        guard let index = items.firstIndex(where: { $0.equals(value) }) else { throw arguments.failure("the value is not in the list") }
        return .integer(index)
    }

    private static let mappingNames: Set<String> = ["items", "keys", "values", "get", "update", "pop", "setdefault", "clear", "popitem"]

    static func pairs(_ entries: TemplateDictionary) -> TemplateValue {
        .list(entries.entries.map { .list([.string($0.key), $0.value]) })
    }

    private static func mapping(
        _ name: String, _ entries: TemplateDictionary, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "items": return pairs(entries)
        case "keys": return .list(entries.entries.map { .string($0.key) })
        case "values": return .list(entries.entries.map(\.value))
        case "get":
            let key: TemplateValue = try arguments.required(0, "key")
            return key.text.flatMap { entries[$0] } ?? arguments.value(1, "default") ?? .null
        default: throw arguments.failure("a template cannot change a mapping")
        }
    }
}

extension String {
    /// With `\r\n` and `\r` as `\n`.
    fileprivate var replacingLineBreaks: String {
        var view: UnicodeScalarView = UnicodeScalarView()
        var last: Unicode.Scalar?
        for scalar in unicodeScalars {
            if !(scalar == "\n" && last == "\r") { view.append(scalar == "\r" ? "\n" : scalar) }
            last = scalar
        }
        return String(view)
    }
}
