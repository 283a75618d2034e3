import Foundation
import Training

/// A folder of its own for a test, removed afterwards.
final class Scratch {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "/linnet-test-" + UUID().uuidString
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }
    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }
}

/// The folder of a set of real data, from `$LINNET_DATA` or the copies beside the project; nil where neither has it.
func testData(_ name: String) -> String? {
    [DataDirectory.standard, .testFallback].compactMap { $0 }.lazy.compactMap { try? $0.locate(name) }.first
}
