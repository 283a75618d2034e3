import NN
import Torch

/// One field of a `config.json`: which setting it is, what it is without the field, and what it may be. The name is written down once, for reading,
/// writing and checking.
struct ConfigurationField<Configuration>: Sendable {
    typealias Setting<Value> = WritableKeyPath<Configuration, Value> & Sendable

    fileprivate let read: @Sendable (KeyedDecodingContainer<FieldName>, inout Configuration) throws -> Void
    fileprivate let write: @Sendable (Configuration, inout KeyedEncodingContainer<FieldName>) throws -> Void
    fileprivate let check: @Sendable (Configuration) throws -> Void

    /// - Parameters:
    ///   - read: takes the field over, or its standard value.
    ///   - write: writes the field.
    ///   - check: throws `ConfigurationError`, naming the field, where the setting cannot be.
    init(
        read: @escaping @Sendable (KeyedDecodingContainer<FieldName>, inout Configuration) throws -> Void,
        write: @escaping @Sendable (Configuration, inout KeyedEncodingContainer<FieldName>) throws -> Void = { _, _ in },
        check: @escaping @Sendable (Configuration) throws -> Void = { _ in }
    ) {
        (self.read, self.write, self.check) = (read, write, check)
    }

    /// A value that the configuration may leave out.
    static func value<Value: Codable & Sendable>(
        _ name: FieldName, _ setting: Setting<Value>, standard: @escaping @Sendable (Configuration) -> Value,
        check: @escaping @Sendable (Value) throws -> Void = { _ in }
    ) -> ConfigurationField {
        ConfigurationField { fields, configuration in
            configuration[keyPath: setting] = try fields.decodeIfPresent(Value.self, forKey: name) ?? standard(configuration)
        } write: { configuration, fields in
            try fields.encode(configuration[keyPath: setting], forKey: name)
        } check: { configuration in
            try check(configuration[keyPath: setting])
        }
    }

    /// A size of 1 to `most`, which the configuration has to have unless there is a standard one.
    static func size(
        _ name: FieldName, _ setting: Setting<Int>, most: Int, standard: (@Sendable (Configuration) -> Int)? = nil
    ) -> ConfigurationField {
        let check: @Sendable (Int) throws -> Void = { try TransformerLimits.check([(name.stringValue, $0, most)]) }
        if let standard { return value(name, setting, standard: standard, check: check) }
        return ConfigurationField { fields, configuration in
            configuration[keyPath: setting] = try fields.decode(Int.self, forKey: name)
        } write: { configuration, fields in
            try fields.encode(configuration[keyPath: setting], forKey: name)
        } check: { configuration in
            try check(configuration[keyPath: setting])
        }
    }

    static func flag(_ name: FieldName, _ setting: Setting<Bool>, standard: Bool) -> ConfigurationField {
        value(name, setting, standard: { _ in standard })
    }

    /// A number above 0.
    static func positive(_ name: FieldName, _ setting: Setting<Double>, standard: Double) -> ConfigurationField {
        value(name, setting, standard: { _ in standard }) { value in
            if !(value > 0 && value.isFinite) { throw ConfigurationError("\(name.stringValue) is \(value); it has to be above 0") }
        }
    }

    /// - Parameter standard: Hugging Face's name of the activation without the field, which it is also written as.
    static func activation(_ name: FieldName, _ setting: Setting<Activation>, standard: String) -> ConfigurationField {
        ConfigurationField { fields, configuration in
            let found: String = try fields.decodeIfPresent(String.self, forKey: name) ?? standard
            configuration[keyPath: setting] = try HuggingFaceActivation.read(found)
        } write: { configuration, fields in
            let present: Activation = configuration[keyPath: setting]
            let isStandard: Bool = try HuggingFaceActivation.read(standard) == present
            try fields.encode(isStandard ? standard : HuggingFaceActivation.name(of: present), forKey: name)
        }
    }

    /// A token that a model may lack.
    static func token(_ name: FieldName, _ setting: Setting<Int?>) -> ConfigurationField {
        ConfigurationField { fields, configuration in
            configuration[keyPath: setting] = try fields.decodeIfPresent(Int.self, forKey: name)
        } write: { configuration, fields in
            try fields.encodeIfPresent(configuration[keyPath: setting], forKey: name)
        }
    }

    /// A token, several or none.
    static func tokens(_ name: FieldName, _ setting: Setting<[Int]>) -> ConfigurationField {
        ConfigurationField { fields, configuration in
            configuration[keyPath: setting] = try fields.decodeIfPresent(OneOrMore.self, forKey: name)?.values ?? []
        } write: { configuration, fields in
            let ids: [Int] = configuration[keyPath: setting]
            if !ids.isEmpty { try fields.encode(OneOrMore(values: ids), forKey: name) }
        }
    }

    /// A field of which only one value can be computed, the one that it has when it is left out.
    static func only<Value: Codable & Equatable & Sendable>(_ name: FieldName, _ value: Value) -> ConfigurationField {
        ConfigurationField { fields, _ in
            if let found = try fields.decodeIfPresent(Value.self, forKey: name), found != value {
                throw ConfigurationError("\(name.stringValue) is \("\(found)".prefix(40)); only \(value) is supported")
            }
        }
    }
}

/// The name of a field of a JSON object.
struct FieldName: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringLiteral name: String) { stringValue = name }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// A configuration in the form of Hugging Face's `config.json`. Fields that change nothing here are passed over; what cannot be computed is an error.
protocol HuggingFaceConfiguration {
    static var modelType: String { get }
    static var architecture: String { get }
    /// In the order in which they are read; standard values may depend on fields before them.
    static var fields: [ConfigurationField<Self>] { get }
}

extension HuggingFaceConfiguration {
    /// Takes every field over.
    mutating func read(from decoder: any Decoder) throws {
        let container: KeyedDecodingContainer<FieldName> = try decoder.container(keyedBy: FieldName.self)
        for field in Self.fields { try field.read(container, &self) }
    }

    func write(to encoder: any Encoder) throws {
        var container: KeyedEncodingContainer<FieldName> = encoder.container(keyedBy: FieldName.self)
        try container.encode(Self.modelType, forKey: "model_type")
        try container.encode([Self.architecture], forKey: "architectures")
        for field in Self.fields { try field.write(self, &container) }
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range, by its name in `config.json`.
    func checkFields() throws {
        for field in Self.fields { try field.check(self) }
    }
}
