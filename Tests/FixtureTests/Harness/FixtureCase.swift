import Foundation
import TestSupport
import Testing

/// One fixture: a file `OPERATOR_anything.safetensors`, or a folder `OPERATOR_anything` with a `reference.safetensors`.
struct FixtureCase: Sendable, CustomTestStringConvertible {
    /// The fixture's name without extension.
    let name: String
    /// The safetensors file with inputs and expected values.
    let file: URL

    var testDescription: String { name }

    /// The fixtures of a folder, by name.
    /// - Throws: what Foundation says where the folder cannot be read.
    static func all(in folder: URL) throws -> [FixtureCase] {
        let entries: [URL] = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return entries.compactMap(FixtureCase.init(entry:)).sorted { $0.name < $1.name }
    }

    private init?(entry: URL) {
        let reference: URL = entry.appendingPathComponent("reference.safetensors")
        if FileManager.default.fileExists(atPath: reference.path) {
            self.init(name: entry.lastPathComponent, file: reference)
        } else if entry.pathExtension == "safetensors" {
            self.init(name: entry.deletingPathExtension().lastPathComponent, file: entry)
        } else {
            return nil
        }
    }

    init(name: String, file: URL) {
        self.name = name
        self.file = file
    }
}
