/// Reads a configuration whose fields all have defaults: a field that is missing keeps its default, one that nobody knows is an error.
///
///     public init(from decoder: any Decoder) throws {
///         try self.init()
///         let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "SGD")
///         try fields.read(.momentum, into: &momentum)
///         try validate()
///     }
public struct ConfigurationFields<Key: CodingKey & CaseIterable> {
    private let container: KeyedDecodingContainer<Key>
    private let owner: String

    /// - Parameters:
    ///   - decoder: the decoder that `init(from:)` was given.
    ///   - owner: what the fields belong to, for messages.
    /// - Throws: ``ConfigurationError`` naming a field that is not among `Key`'s cases.
    public init(_ decoder: any Decoder, of owner: String) throws {
        self.owner = owner
        let given: [String]
        do {
            container = try decoder.container(keyedBy: Key.self)
            given = try decoder.container(keyedBy: AnyName.self).allKeys.map(\.stringValue)
        } catch is DecodingError {
            throw ConfigurationError("\(owner): a table of named fields was expected")
        }
        let known: [String] = Key.allCases.map(\.stringValue)
        if let unknown = given.sorted().first(where: { !known.contains($0) }) {
            throw ConfigurationError("\(owner): no field is called \"\(unknown)\"; there are \(known.joined(separator: ", "))")
        }
    }

    /// Writes the field's value to `value`, if the field is there.
    /// - Throws: ``ConfigurationError`` where it is of another type.
    public func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
        do {
            if let found = try container.decodeIfPresent(Value.self, forKey: key) { value = found }
        } catch is DecodingError {
            throw ConfigurationError("\(owner): \(key.stringValue) is not of type \(Value.self)")
        }
    }

    private struct AnyName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
