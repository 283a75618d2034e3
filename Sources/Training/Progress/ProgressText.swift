import Foundation

/// The parts of a progress line as text.
package enum ProgressText {
    /// "0:07", "12:34", "3:05:00"; more than 99 hours in days.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite && seconds >= 0 else { return "-:--" }
        let whole = Int(min(seconds, 1e12))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let (hours, minutes) = (whole / 3600, whole / 60 % 60)
        if hours > 99 { return "\(hours / 24)d \(two(hours % 24))h" }
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
    }

    /// Three significant digits with k, M or G: "999", "12.3k", "1.50M".
    static func rate(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        var scaled = value
        var unit = ""
        for next in ["k", "M", "G"] where scaled >= 999.5 {
            scaled /= 1000
            unit = next
        }
        let digits = scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
        return String(format: "%.\(digits)f", scaled) + unit
    }

    /// Four significant digits.
    static func metric(_ value: Double) -> String { String(format: "%.4g", value) }
}
