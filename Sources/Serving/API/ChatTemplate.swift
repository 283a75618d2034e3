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

/// How a conversation becomes a prompt: a template in Jinja, as models come with, or a pattern.
///
/// A pattern has `{role}` and `{content}`; it is repeated for every message and then cut off before the content for the answer, for instance
/// `<|im_start|>{role}\n{content}<|im_end|>\n`.
public struct ChatTemplate: Sendable {
    private enum Form: Sendable {
        /// Before the content, with `{role}`, and after it.
        case pattern(opening: String, closing: String)
        case jinja(JinjaTemplate, SpecialTokens)
    }

    /// The texts of special tokens that templates in Jinja name.
    public struct SpecialTokens: Sendable, Equatable {
        public var beginning: String
        public var end: String

        public init(beginning: String = "", end: String = "") {
            self.beginning = beginning
            self.end = end
        }
    }

    private let form: Form

    /// `role:`, the content on lines of its own and an empty line, for models that were trained on plain text.
    public static let plain: ChatTemplate = ChatTemplate(form: .pattern(opening: "{role}:\n", closing: "\n\n"))

    private init(form: Form) { self.form = form }

    /// - Throws: `ConfigurationError` unless `{role}` comes once and, after it, `{content}` once.
    public init(_ pattern: String) throws {
        let parts: [String] = pattern.components(separatedBy: "{content}")
        guard parts.count == 2, parts[0].components(separatedBy: "{role}").count == 2, !parts[1].contains("{role}") else {
            throw ConfigurationError("a chat template needs {role} once and {content} once, in this order")
        }
        self.init(form: .pattern(opening: parts[0], closing: parts[1]))
    }

    /// - Parameters:
    ///   - source: a template in Jinja, with the names `messages`, `add_generation_prompt`, `bos_token` and `eos_token`.
    ///   - specialTokens: those of the model.
    /// - Throws: ``TemplateError``.
    public init(jinja source: String, specialTokens: SpecialTokens = SpecialTokens()) throws(TemplateError) {
        self.init(form: .jinja(try JinjaTemplate(source), specialTokens))
    }

    /// Reads a file: a template in Jinja where its name ends in `.jinja` or it has a statement of Jinja, else a pattern, of which a line break
    /// that ends the file is part.
    /// - Parameters:
    ///   - file: what is read.
    ///   - model: the folder whose `tokenizer_config.json` says what a template's special tokens are.
    /// - Throws: an error naming the file.
    public init(contentsOf file: URL, model: URL? = nil) throws {
        let text: String = try Self.text(of: file)
        let tokens: SpecialTokens = try model.map { try TokenizerConfigurationFile(in: $0).specialTokens } ?? SpecialTokens()
        do {
            let isJinja: Bool = file.pathExtension == "jinja" || text.contains("{%")
            self = isJinja ? try ChatTemplate(jinja: text, specialTokens: tokens) : try ChatTemplate(text)
        } catch let error as ConfigurationError {
            throw DataFormatError(path: file.path, error.description)
        } catch let error as TemplateError {
            throw DataFormatError(path: file.path, error.description)
        }
    }

    fileprivate static func text(of file: URL) throws -> String {
        let bytes: [UInt8] = try readFile(file.path)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw DataFormatError(path: file.path, "is not UTF-8") }
        return text
    }

    /// The template that comes with a model: `chat_template.jinja`, else that of `tokenizer_config.json`; nil without one.
    /// - Throws: an error naming the file where the template cannot be read.
    public static func ofModel(in folder: URL) throws -> ChatTemplate? {
        let file: URL = folder.appendingPathComponent("chat_template.jinja")
        if FileManager.default.fileExists(atPath: file.path) { return try ChatTemplate(contentsOf: file, model: folder) }
        let configuration: TokenizerConfigurationFile = try TokenizerConfigurationFile(in: folder)
        do {
            return try configuration.template.map { try ChatTemplate(jinja: $0, specialTokens: configuration.specialTokens) }
        } catch let error as TemplateError {
            throw DataFormatError(path: configuration.file.path, "chat_template: \(error)")
        }
    }

    /// The conversation up to where the assistant's answer begins.
    /// - Throws: ``TemplateError`` where a template in Jinja refuses the messages, or cannot render them.
    public func prompt(_ messages: [ChatMessage]) throws(TemplateError) -> String {
        switch form {
        case .pattern(let opening, let closing):
            func opened(_ role: String) -> String { opening.replacingOccurrences(of: "{role}", with: role) }
            return messages.map { opened($0.role) + $0.content + closing }.joined() + opened("assistant")
        case .jinja(let template, let tokens):
            let turns: [TemplateValue] = messages.map { .dictionary(["role": .string($0.role), "content": .string($0.content)]) }
            return try template.render([
                "messages": .list(turns), "add_generation_prompt": .bool(true), "bos_token": .string(tokens.beginning),
                "eos_token": .string(tokens.end), "tools": .null, "documents": .null,
            ])
        }
    }

    /// Where the model ends its answer by itself: the closing of its message, or, where that is white space, the next message of the user;
    /// with a template in Jinja, the token that ends a text.
    public var stop: [String] {
        switch form {
        case .pattern(let opening, let closing):
            let mark: String = closing.trimmingCharacters(in: .whitespacesAndNewlines)
            return mark.isEmpty ? [closing + opening.replacingOccurrences(of: "{role}", with: "user")] : [mark]
        case .jinja(_, let tokens): return tokens.end.isEmpty ? [] : [tokens.end]
        }
    }

    /// Whether the tokenizer adds its special tokens to the prompt; a template in Jinja writes them itself.
    var leavesSpecialTokens: Bool {
        if case .pattern = form { true } else { false }
    }
}

/// What `tokenizer_config.json` says on chats.
private struct TokenizerConfigurationFile {
    let file: URL
    var template: String?
    var specialTokens: ChatTemplate.SpecialTokens = ChatTemplate.SpecialTokens()

    /// Without the file it says nothing.
    /// - Throws: an error naming the file.
    init(in folder: URL) throws {
        file = folder.appendingPathComponent("tokenizer_config.json")
        guard FileManager.default.fileExists(atPath: file.path) else { return }
        let fields: Fields
        do { fields = try JSONDecoder().decode(Fields.self, from: Data(try readFile(file.path))) } catch let error as DecodingError {
            throw DataFormatError(path: file.path, "is not a tokenizer's configuration: \(error.reason)")
        }
        template = fields.template?.source
        specialTokens = ChatTemplate.SpecialTokens(beginning: fields.beginning?.content ?? "", end: fields.end?.content ?? "")
    }

    private struct Fields: Decodable {
        var template: Template?
        var beginning: Token?
        var end: Token?

        enum CodingKeys: String, CodingKey {
            case template = "chat_template"
            case beginning = "bos_token"
            case end = "eos_token"
        }
    }

    /// A text, or an object with it.
    private struct Token: Decodable {
        let content: String

        private enum CodingKeys: CodingKey { case content }

        init(from decoder: any Decoder) throws {
            if let text = try? decoder.singleValueContainer().decode(String.self) {
                content = text
            } else {
                content = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .content)
            }
        }
    }

    /// A template, or several with names, of which the one named "default" is meant.
    private struct Template: Decodable {
        let source: String?

        private struct Named: Decodable {
            let name: String
            let template: String
        }

        init(from decoder: any Decoder) throws {
            let container: any SingleValueDecodingContainer = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                source = text
            } else {
                source = try container.decode([Named].self).first { $0.name == "default" }?.template
            }
        }
    }
}
