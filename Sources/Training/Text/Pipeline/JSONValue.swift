/// A JSON document whose strings are UTF-8 bytes.
///
/// Foundation's JSON readers give `String` keys, which compare by canonical equivalence: a vocabulary that holds "é" in both its forms
/// would lose one of them. Bytes keep all keys apart, and members keep the file's order.
enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case double(Double)
    case string([UInt8])
    case array([JSONValue])
    case object([JSONMember])

    static func string(_ text: String) -> JSONValue { .string(Array(text.utf8)) }

    /// An object from names and values, in the order given.
    static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(members.map { JSONMember(key: Array($0.key.utf8), value: $0.value) })
    }
}

/// One member of a JSON object.
struct JSONMember: Sendable, Equatable {
    var key: [UInt8]
    var value: JSONValue
}
