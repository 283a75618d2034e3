import Foundation
import Torch

/// Text to token ids and back.
///
/// Every tokenizer is saved as a Hugging Face `tokenizer.json`, so that a checkpoint directory says by itself how its model reads text.
/// Text is compared by its Unicode scalars, never by canonical equivalence: "é" as one scalar and as two are different texts.
public protocol Tokenizer: Sendable {
    /// One more than the greatest id, which is the number of rows that an embedding of these ids needs.
    var vocabularySize: Int { get }

    /// The tokens that stand for no text of their own, by ascending id.
    var specialTokens: [SpecialToken] { get }

    /// The id that ends a text, if one of the special tokens bears a name known to mean that (`<|endoftext|>`, `</s>`, ...).
    var endOfTextID: Int? { get }

    /// The ids of a text, including those that the tokenizer's post-processor adds (such as `[CLS]`).
    ///
    /// What the vocabulary cannot express becomes the unknown token, or is left out where the tokenizer has none.
    func encode(_ text: String) -> [Int]

    /// As ``encode(_:)``, but text that the vocabulary cannot express is an error instead of being left out.
    ///
    /// - Throws: ``TokenizerError/unknownCharacter(_:offset:)``.
    func encode(validating text: String) throws -> [Int]

    /// The text of the ids. Ids outside the vocabulary are left out, as are special tokens unless they are asked for.
    /// Bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part.
    func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String

    /// A decoder that is fed one id at a time; its pieces joined are exactly what ``decode(_:skippingSpecialTokens:)`` gives.
    func streamingDecoder(skippingSpecialTokens: Bool) -> StreamingDecoder

    /// The token as it stands in the vocabulary (for byte-level vocabularies in their printable alphabet), or nil.
    func token(forID id: Int) -> String?

    /// The id of a token as it stands in the vocabulary, or nil.
    func id(forToken token: String) -> Int?

    /// The tokenizer in Hugging Face's `tokenizer.json` format.
    func jsonData() -> Data
}

extension Tokenizer {
    /// The text of the ids, without special tokens.
    public func decode(_ ids: [Int]) -> String { decode(ids, skippingSpecialTokens: true) }

    /// A decoder for one id at a time that leaves special tokens out.
    public func streamingDecoder() -> StreamingDecoder { streamingDecoder(skippingSpecialTokens: true) }

    /// Writes `tokenizer.json` (beside, then renamed).
    ///
    /// - Parameter url: the file itself, or a directory that gets a `tokenizer.json`.
    /// - Throws: `FileError` where the file cannot be written.
    public func save(to url: URL) throws { try AtomicFile.write(jsonData(), to: tokenizerFile(at: url).path) }
}

/// A token that stands for no text of its own, such as the end of a text.
public struct SpecialToken: Sendable, Equatable {
    /// The token as it is written in text.
    public let content: String
    /// Its id.
    public let id: Int
}

/// What can be wrong with a tokenizer file, or with a text for a given vocabulary. Each description is one line.
public indirect enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// Not JSON; the offset is that of the first byte that does not fit.
    case invalidJSON(offset: Int, reason: String)
    /// A field that must be there is not.
    case missingField(String)
    /// A field has another JSON type than it must have.
    case wrongType(field: String, expected: String)
    /// A field has the right type and a value that makes no sense.
    case invalidValue(field: String, reason: String)
    /// A field asks for something that this reader does not do.
    case unsupported(field: String, value: String)
    /// The text has a scalar that the vocabulary cannot express; the offset counts UTF-8 bytes.
    case unknownCharacter(Unicode.Scalar, offset: Int)
    /// An error in the named file.
    case inFile(String, TokenizerError)

    public var description: String {
        switch self {
        case .invalidJSON(let offset, let reason): "not valid JSON at byte \(offset): \(reason)"
        case .missingField(let field): "field \(field) is missing"
        case .wrongType(let field, let expected): "field \(field) must be \(expected)"
        case .invalidValue(let field, let reason): "field \(field): \(reason)"
        case .unsupported(let field, let value): "field \(field): \(value) is not supported"
        case .unknownCharacter(let scalar, let offset):
            "the vocabulary has no token for U+\(hexadecimal(scalar.value)) at byte \(offset) of the text"
        case .inFile(let path, let error): "\(path): \(error)"
        }
    }

    private func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// The `tokenizer.json` that a URL means: the file itself, or the one in the directory.
func tokenizerFile(at url: URL) -> URL {
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory)
    return exists && isDirectory.boolValue ? url.appendingPathComponent("tokenizer.json") : url
}

/// The bytes of a file; the error is the system's reason, in one line.
func contents(of file: URL) throws(FileError) -> [UInt8] {
    do {
        return Array(try Data(contentsOf: file))
    } catch {
        let reason = (error as? CocoaError)?.underlying as? POSIXError
        throw FileError("read", file.path, code: reason?.code.rawValue ?? EIO)
    }
}
