import Foundation
import Torch

/// Writes each step as one line of JSON: {"step":12,"time":1700000000.5,"metrics":{"loss":2.25}}. A value that JSON cannot hold
/// (NaN, infinity) is null. An existing file is continued.
public final class JSONLinesSink: MetricSink {
    private let log: AppendLog
    private let now: @Sendable () -> Date

    public init(path: String, now: @escaping @Sendable () -> Date = { Date() }) throws(FileError) {
        log = try AppendLog(path, endsInLines: true)
        self.now = now
    }

    public func log(step: Int, metrics: [String: Double]) {
        let fields = metrics.sorted { $0.key < $1.key }.map { "\(JSONText.string($0.key)):\(JSONText.number($0.value))" }
        let time = JSONText.number(now().timeIntervalSince1970)
        log.append(Array("{\"step\":\(step),\"time\":\(time),\"metrics\":{\(fields.joined(separator: ","))}}\n".utf8))
    }

    public func close() throws { try log.close() }
}

/// The text of single JSON values.
package enum JSONText {
    static func number(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

    package static func string(_ text: String) -> String {
        var result: String = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case _ where scalar.value < 0x20: result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
