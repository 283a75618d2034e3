/// Why a safetensors file or checkpoint could not be read or written.
public struct SafetensorsError: Error, CustomStringConvertible, Equatable, Sendable {
    public enum Reason: Sendable, Equatable {
        /// The system could not open, map or write the file, or it is no regular file.
        case inputOutput
        /// The length field at the start is out of range.
        case headerLength
        /// The header is no strict JSON object in UTF-8 without duplicate keys.
        case headerSyntax
        /// `__metadata__` is no object of strings.
        case metadata
        /// A tensor's entry lacks a field, has an unknown one, or one of another kind.
        case entry
        /// A dtype that the format does not have, or that Linnet has no tensors of.
        case dtype
        /// A negative or overflowing shape, or one with too many axes.
        case shape
        /// Offsets that leave the file, run backwards, overlap, leave a hole, or do not fit dtype and shape.
        case offsets
        /// Elements that are no values of their dtype.
        case elements
        /// A tensor that is not there.
        case missingTensor
        /// A shard that is missing, misnamed or without a tensor that the index promises, or an index that is malformed.
        case shard
    }

    public let reason: Reason
    /// Path or name of the file.
    public let file: String
    /// The tensor concerned, where there is one.
    public let tensor: String?
    /// What was wrong and what would be right.
    public let detail: String

    public var description: String {
        let place: String = tensor.map { "\(file): tensor \(quoted($0))" } ?? file
        return "\(place): \(detail)"
    }

    init(_ reason: Reason, file: String, tensor: String? = nil, _ detail: String) {
        self.reason = reason
        self.file = file
        self.tensor = tensor
        self.detail = detail
    }
}

/// Text from a file for use in a one-line message: in quotes, shortened, control characters and separators as `\u{…}`.
func quoted(_ text: String) -> String {
    let longest: Int = 80
    var result: String = "'"
    for scalar in text.unicodeScalars.prefix(longest) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + (text.unicodeScalars.dropFirst(longest).isEmpty ? "'" : "…'")
}
