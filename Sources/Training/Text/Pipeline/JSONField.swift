/// A value in a JSON document together with its place, so that whatever is wrong with it can be named.
struct JSONField {
    let value: JSONValue
    /// The way from the root, such as `model.merges[3]`; empty at the root.
    let path: String

    init(root: JSONValue) {
        value = root
        path = ""
    }

    private init(value: JSONValue, path: String) {
        self.value = value
        self.path = path
    }

    private func mismatch(_ expected: String) -> TokenizerError {
        .wrongType(field: path.isEmpty ? "(the document)" : path, expected: expected)
    }

    /// The members of an object, in the file's order.
    func members() throws -> [JSONMember] {
        guard case .object(let members) = value else { throw mismatch("an object") }
        return members
    }

    /// A member that may be missing or null. Where a name occurs twice the last one counts.
    func optional(_ name: String) throws -> JSONField? {
        let key = Array(name.utf8)
        guard let member = try members().last(where: { $0.key == key }), member.value != .null else { return nil }
        return JSONField(value: member.value, path: child(name))
    }

    /// A member that must be there.
    func required(_ name: String) throws -> JSONField {
        guard let field = try optional(name) else { throw TokenizerError.missingField(child(name)) }
        return field
    }

    private func child(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// The elements of an array.
    func elements() throws -> [JSONField] {
        guard case .array(let elements) = value else { throw mismatch("an array") }
        return elements.enumerated().map { JSONField(value: $0.element, path: "\(path)[\($0.offset)]") }
    }

    func bytes() throws -> [UInt8] {
        guard case .string(let bytes) = value else { throw mismatch("a string") }
        return bytes
    }

    func text() throws -> String { String(decoding: try bytes(), as: UTF8.self) }

    func bool() throws -> Bool {
        guard case .bool(let flag) = value else { throw mismatch("true or false") }
        return flag
    }

    func double() throws -> Double {
        switch value {
        case .integer(let number): return Double(number)
        case .double(let number): return number
        default: throw mismatch("a number")
        }
    }

    /// A whole number of 0 or more.
    func count() throws -> Int {
        guard case .integer(let number) = value, number >= 0 else { throw mismatch("a whole number of 0 or more") }
        return number
    }

    /// A token's id.
    func id() throws -> UInt32 {
        guard case .integer(let number) = value, let id = UInt32(exactly: number) else { throw mismatch("an id from 0 to \(UInt32.max)") }
        return id
    }

    /// A string of exactly one scalar.
    func scalar() throws -> Unicode.Scalar {
        let scalars = try text().unicodeScalars
        guard let scalar = scalars.first, scalars.count == 1 else { throw mismatch("a string of one character") }
        return scalar
    }

    /// The `type` of a pipeline component.
    func type() throws -> String { try required("type").text() }

    func unsupported(_ what: String) -> TokenizerError { .unsupported(field: path, value: what) }

    func invalid(_ reason: String) -> TokenizerError { .invalidValue(field: path, reason: reason) }
}
