/// Writes JSON indented by two spaces; arrays of plain values stay on one line, so that merges are readable.
struct JSONWriter {
    private var output: [UInt8] = []

    static func write(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.append(value, indentation: 0)
        writer.output.append(0x0A)
        return writer.output
    }

    private mutating func append(_ text: String) { output.append(contentsOf: text.utf8) }

    private mutating func append(_ value: JSONValue, indentation: Int) {
        switch value {
        case .null: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .integer(let number): append(String(number))
        case .double(let number): append(String(number))
        case .string(let bytes): append(string: bytes)
        case .array(let elements): append(array: elements, indentation: indentation)
        case .object(let members): append(object: members, indentation: indentation)
        }
    }

    private mutating func append(array elements: [JSONValue], indentation: Int) {
        let isFlat = elements.allSatisfy(\.isPlain)
        append("[")
        for (index, element) in elements.enumerated() {
            if index > 0 { append(isFlat ? ", " : ",") }
            if !isFlat { newLine(indentation + 1) }
            append(element, indentation: indentation + 1)
        }
        if !isFlat { newLine(indentation) }
        append("]")
    }

    private mutating func append(object members: [JSONMember], indentation: Int) {
        append("{")
        for (index, member) in members.enumerated() {
            if index > 0 { append(",") }
            newLine(indentation + 1)
            append(string: member.key)
            append(": ")
            append(member.value, indentation: indentation + 1)
        }
        if !members.isEmpty { newLine(indentation) }
        append("}")
    }

    private mutating func newLine(_ indentation: Int) {
        output.append(0x0A)
        output.append(contentsOf: repeatElement(0x20, count: 2 * indentation))
    }

    private mutating func append(string bytes: [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            case 0..<0x10: append("\\u000" + String(byte, radix: 16))
            case 0x10..<0x20: append("\\u00" + String(byte, radix: 16))
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}

extension JSONValue {
    /// Whether the value is neither an array nor an object.
    fileprivate var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }
}
