import Foundation

/// A checkpoint that was made with other settings than the run that wants to continue it.
public struct ConfigurationMismatch: Error, CustomStringConvertible, Sendable {
    public let folder: String
    /// `model.dimensions is 64 there and 128 here`
    public let differences: [String]

    public var description: String {
        "the checkpoint in \(folder) belongs to another configuration: \(differences.prefix(5).joined(separator: "; "))"
            + (differences.count > 5 ? "; …" : "") + "; use the same settings or another folder"
    }
}

/// Compares two JSON texts setting by setting.
enum ConfigurationDifference {
    /// One sentence for each setting that differs, by dotted name.
    static func between(there: String, here: String) -> [String] {
        let left: [String: String] = flattened(there)
        let right: [String: String] = flattened(here)
        return Set(left.keys).union(right.keys).sorted().filter { left[$0] != right[$0] }.map { name in
            "\(name) is \(left[name] ?? "not set") there and \(right[name] ?? "not set") here"
        }
    }

    private static func flattened(_ json: String) -> [String: String] {
        guard let value = try? JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed) else { return ["": json] }
        var result: [String: String] = [:]
        collect(value, path: "", into: &result)
        return result
    }

    private static func collect(_ value: Any, path: String, into result: inout [String: String]) {
        switch value {
        case let object as [String: Any]:
            for (key, element) in object { collect(element, path: path.isEmpty ? key : "\(path).\(key)", into: &result) }
        case let array as [Any]:
            for (index, element) in array.enumerated() { collect(element, path: "\(path).\(index)", into: &result) }
        default:
            result[path] = "\(value)"
        }
    }
}
