import Foundation
import Torch
import Training

/// One turn of a conversation.
public struct ChatMessage: Decodable, Sendable, Equatable {
    public let role: String
    public let content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }

    private enum CodingKeys: String, CodingKey { case role, content }

    private struct Part: Decodable {
        let type: String
        let text: String?
    }

    static let roles: [String] = ["system", "developer", "user", "assistant"]

    /// Content is a text or a list of text parts.
    public init(from decoder: any Decoder) throws {
        let container: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        role = try container.decode(String.self, forKey: .role)
        guard Self.roles.contains(role) else {
            throw DecodingError.dataCorruptedError(
                forKey: .role, in: container, debugDescription: "'\(role)' is none of \(Self.roles.joined(separator: ", "))")
        }
        if let parts = try? container.decode([Part].self, forKey: .content) {
            guard parts.allSatisfy({ $0.type == "text" }) else {
                throw DecodingError.dataCorruptedError(forKey: .content, in: container, debugDescription: "only text parts are understood")
            }
            content = parts.compactMap(\.text).joined()
        } else {
            content = try container.decode(String.self, forKey: .content)
        }
    }
}

/// How a conversation becomes a prompt: one pattern with `{role}` and `{content}`, which is repeated for every message and then cut off
/// before the content for the answer.
///
/// Templates in Jinja, as in Hugging Face's `tokenizer_config.json`, are not interpreted: a subset would render some of them wrongly without
/// saying so. Most of them are such a pattern, which is quickly written down, for instance `<|im_start|>{role}\n{content}<|im_end|>\n`.
public struct ChatTemplate: Sendable, Equatable {
    /// Before the content, with `{role}`.
    private let opening: String
    private let closing: String

    /// `role:`, the content on lines of its own and an empty line, for models that were trained on plain text.
    public static let plain: ChatTemplate = ChatTemplate(opening: "{role}:\n", closing: "\n\n")

    private init(opening: String, closing: String) {
        self.opening = opening
        self.closing = closing
    }

    /// - Throws: `ConfigurationError` unless `{role}` comes once and, after it, `{content}` once.
    public init(_ pattern: String) throws {
        let parts: [String] = pattern.components(separatedBy: "{content}")
        guard parts.count == 2, parts[0].components(separatedBy: "{role}").count == 2, !parts[1].contains("{role}") else {
            throw ConfigurationError("a chat template needs {role} once and {content} once, in this order")
        }
        self.init(opening: parts[0], closing: parts[1])
    }

    /// Reads a file with a pattern; a line break that ends the file is part of it.
    /// - Throws: an error naming the file.
    public init(contentsOf file: URL) throws {
        let bytes: [UInt8] = try readFile(file.path)
        guard let pattern = String(validating: bytes, as: UTF8.self) else {
            throw DataFormatError(path: file.path, "is not UTF-8")
        }
        do { self = try ChatTemplate(pattern) } catch let error as ConfigurationError {
            throw DataFormatError(path: file.path, error.description)
        }
    }

    /// The conversation up to where the assistant's answer begins.
    public func prompt(_ messages: [ChatMessage]) -> String {
        messages.map { opened($0.role) + $0.content + closing }.joined() + opened("assistant")
    }

    private func opened(_ role: String) -> String { opening.replacingOccurrences(of: "{role}", with: role) }

    /// Where the model ends its answer by itself: the closing of its message, or, where that is white space, the next message of the user.
    public var stop: [String] {
        let mark: String = closing.trimmingCharacters(in: .whitespacesAndNewlines)
        return mark.isEmpty ? [closing + opened("user")] : [mark]
    }
}
