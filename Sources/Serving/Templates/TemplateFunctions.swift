import Foundation

/// The functions that every template can call.
enum TemplateFunctions {
    static let all: TemplateDictionary = [
        "range": .function(TemplateFunction("range", range)), "namespace": .function(TemplateFunction("namespace", namespace)),
        "dict": .function(TemplateFunction("dict", dictionary)), "raise_exception": .function(TemplateFunction("raise_exception", raise)),
        "strftime_now": .function(TemplateFunction("strftime_now", now)),
    ]

    @Sendable private static func range(
        _ evaluator: inout TemplateEvaluator, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue {
        var bounds: [Int] = []
        for index in arguments.positional.indices { bounds.append(try arguments.whole(index, "bound") ?? 0) }
        guard (1...3).contains(bounds.count) else { throw arguments.failure("one to three whole numbers are needed") }
        let (start, end): (Int, Int) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step: Int = bounds.count == 3 ? bounds[2] : 1
        if step == 0 { throw arguments.failure("the step is 0") }
        let count: Double = max(0, ((Double(end) - Double(start)) / Double(step)).rounded(.up))
        // A number of a list takes about as much as a short text.
        try evaluator.charge(size: count < 1e9 ? Int(count) * 16 : .max)
        return .list(stride(from: start, to: end, by: step).map { .integer($0) })
    }

    /// The arguments' names and values, and those of a mapping before them.
    private static func entries(_ arguments: TemplateArguments) throws(TemplateError) -> TemplateDictionary {
        var values: TemplateDictionary = [:]
        for value in arguments.positional {
            guard case .dictionary(let given) = value else { throw arguments.failure("a mapping is needed, not \(value.kind)") }
            for entry in given.entries { values.set(entry.key, to: entry.value) }
        }
        for entry in arguments.named.entries { values.set(entry.key, to: entry.value) }
        return values
    }

    @Sendable private static func namespace(
        _ evaluator: inout TemplateEvaluator, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue { .namespace(evaluator.namespace(try entries(arguments))) }

    @Sendable private static func dictionary(
        _ evaluator: inout TemplateEvaluator, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue {
        let value: TemplateValue = .dictionary(try entries(arguments))
        try evaluator.charge(value)
        return value
    }

    @Sendable private static func raise(
        _ evaluator: inout TemplateEvaluator, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue {
        throw .raised(TemplateText.printed(try arguments.required(0, "message")))
    }

    /// The local time in a format of C's `strftime`.
    @Sendable private static func now(
        _ evaluator: inout TemplateEvaluator, _ arguments: TemplateArguments
    ) throws(TemplateError) -> TemplateValue {
        let format: String = try arguments.requiredText(0, "format")
        if format.utf8.count > 256 || format.contains("\0") {
            throw arguments.failure("the format is longer than 256 bytes, or holds a zero")
        }
        var seconds: time_t = time(nil)
        var parts: tm = tm()
        localtime_r(&seconds, &parts)
        let most: Int = 4096
        var text: [CChar] = Array(repeating: 0, count: most)
        let length: Int = strftime(&text, most, format, &parts)
        return .string(String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
