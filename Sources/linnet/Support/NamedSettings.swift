import Foundation
import Yams

/// A choice on the command line that may have settings: a name, or in YAML a name with a table, such as `galore: {rank: 32}`.
enum NamedSettings {
    /// Name and settings of an argument; nil for what is neither.
    static func parse(_ text: String) -> (name: String, settings: [String: Any])? {
        let value: Any? = try? Yams.load(yaml: text)
        if let name: String = value as? String { return (name, [:]) }
        guard let mapping: [String: Any] = value as? [String: Any], mapping.count == 1, let (name, settings) = mapping.first,
            let settings: [String: Any] = settings as? [String: Any]
        else { return nil }
        return (name, settings)
    }

    /// What a name with settings stands for; nil for settings that no configuration can have.
    static func decode<Value: Decodable>(_ type: Value.Type, _ name: String, _ settings: [String: Any]) throws -> Value? {
        guard JSONSerialization.isValidJSONObject(settings) else { return nil }
        return try JSONDecoder().decode(type, from: try JSONSerialization.data(withJSONObject: [name: settings]))
    }
}
