import Crypto
import Foundation
import SequenceModels
import Synchronization
import Torch

/// A sentence encoder of the BERT family from a folder in Hugging Face format, such as all-MiniLM-L6-v2.
public final class BertPaperEncoder: SentenceEncoder {
    /// Named by what is in the folder, so that another model's vectors are never taken for this one's.
    public let id: String
    public let dimensions: Int
    /// About ten seconds' work for two cores.
    public let textsOnTheWay: Int = 256
    private let encoder: Mutex<BertSentenceEncoder>

    /// - Throws: an error that names the file that is missing, broken or does not fit.
    public init(folder: String) throws {
        let directory: URL = URL(fileURLWithPath: folder, isDirectory: true)
        let encoder: BertSentenceEncoder = try BertSentenceEncoder(directory: directory)
        dimensions = encoder.dimensions
        self.encoder = Mutex(encoder)
        id = "bert-" + (try Self.fingerprint(directory))
    }

    public func encode(_ texts: [String]) -> [[Float]] {
        let elements: [Float] = encoder.withLock { encoder in noGrad { encoder.encode(texts).array(Float.self) } }
        return texts.indices.map { Array(elements[$0 * dimensions..<($0 + 1) * dimensions]) }
    }

    /// A hash of the small files and of the beginning, end and size of the large ones.
    private static func fingerprint(_ directory: URL) throws -> String {
        let part: Int = 1 << 20
        var hash: SHA256 = SHA256()
        let names: [String] = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        for name in names where name.hasSuffix(".safetensors") || name == "config.json" || name == "tokenizer.json" {
            let handle: FileHandle = try FileHandle(forReadingFrom: directory.appendingPathComponent(name))
            defer { try? handle.close() }
            let size: UInt64 = try handle.seekToEnd()
            try handle.seek(toOffset: size - min(size, UInt64(part)))
            let end: Data = try handle.read(upToCount: part) ?? Data()
            try handle.seek(toOffset: 0)
            hash.update(data: Data("\(name) \(size) ".utf8) + (try handle.read(upToCount: part) ?? Data()) + end)
        }
        return hash.finalize().prefix(8).map { String(format: "%02x", $0) }.joined()
    }
}
