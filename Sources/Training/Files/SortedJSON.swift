import Foundation

extension Encodable {
    /// The value as JSON with its keys in order: equal values are equal texts.
    public func sortedJSON() throws -> String {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
