import Experiments
import Foundation
import Papers

/// How the pages name what the catalogue knows. A badge always has words; its colour only repeats them.
extension PaperStatus {
    var label: String {
        switch self {
        case .listed: "listed"
        case .planned: "planned"
        case .component: "component built"
        case .experiment: "experiment ready"
        case .reproduced: "claim shown"
        case .notShown: "claim not shown"
        }
    }

    var tone: String {
        switch self {
        case .reproduced: "good"
        case .notShown: "bad"
        case .experiment, .component: "ready"
        case .listed, .planned: "quiet"
        }
    }
}

extension PaperVerdict {
    var label: String {
        switch self {
        case .shown: "shown"
        case .notShown: "not shown"
        case .inconclusive: "inconclusive"
        case .smoke: "smoke: gates passed"
        case .failed: "failed"
        case .interrupted: "interrupted"
        }
    }

    var tone: String {
        switch self {
        case .shown: "good"
        case .notShown, .failed: "bad"
        case .inconclusive: "open"
        case .smoke, .interrupted: "quiet"
        }
    }
}

/// Dates and durations, in UTC and in English whatever the machine's settings.
enum Wording {
    static func day(_ date: Date) -> String { date.formatted(style.day().month(.wide).year()) }

    static func time(_ date: Date) -> String {
        "\(date.formatted(style.day().month(.abbreviated).year())), \(machineTime(date).dropFirst(11).prefix(5)) UTC"
    }

    /// RFC 3339, for `datetime` attributes.
    static func machineTime(_ date: Date) -> String { date.formatted(.iso8601) }

    static func machineDay(_ date: Date) -> String { String(machineTime(date).prefix(10)) }

    static func seconds(_ seconds: Double) -> String {
        seconds < 90
            ? String(format: "%.0f s", seconds)
            : seconds < 5400 ? String(format: "%.0f min", seconds / 60) : String(format: "%.1f h", seconds / 3600)
    }

    static func count(_ number: Int, _ noun: String) -> String {
        let digits: String = number.formatted(.number.locale(Locale(identifier: "en")))
        return "\(digits) \(noun)\(number == 1 ? "" : "s")"
    }

    /// Title of an imported paper's text: at most `limit` characters, cut at a space.
    static func shortened(_ text: String, to limit: Int) -> String {
        guard text.count > limit else { return text }
        let start: Substring = text.prefix(limit)
        return (start.lastIndex(of: " ").map { start[..<$0] } ?? start) + " …"
    }

    private static let style: Date.FormatStyle = Date.FormatStyle(
        locale: Locale(identifier: "en_GB"), timeZone: TimeZone(secondsFromGMT: 0) ?? .gmt)
}
