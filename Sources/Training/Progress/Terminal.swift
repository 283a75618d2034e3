import Foundation

/// Where progress is shown: how to write there and how wide it is. Injected, so that tests see every byte.
public struct ProgressOutput {
    package let write: (String) -> Void
    package let columns: () -> Int
    /// Seconds from any fixed moment.
    package let now: () -> Double

    public init(write: @escaping (String) -> Void, columns: @escaping () -> Int, now: @escaping () -> Double) {
        self.write = write
        self.columns = columns
        self.now = now
    }

    /// Standard error, so that standard output stays clean for results.
    public static func standardError() -> ProgressOutput {
        ProgressOutput(
            write: { text in
                let bytes = Array(text.utf8)
                _ = bytes.withUnsafeBytes { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            },
            columns: { terminalColumns(STDERR_FILENO) },
            now: { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 })
    }

    /// The terminal's width as it is now, else `$COLUMNS`, else 80.
    static func terminalColumns(_ descriptor: Int32) -> Int {
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 { return Int(size.ws_col) }
        let variable = ProcessInfo.processInfo.environment["COLUMNS"].flatMap { Int($0) } ?? 80
        return variable > 0 ? variable : 80
    }
}

/// How progress is shown.
public enum ProgressStyle: Sendable, Equatable {
    /// One line that is drawn again and again; for terminals.
    case bar
    /// A JSON object on a line of its own every few seconds and at the end; for logs and other programs.
    case jsonLines
    /// Nothing.
    case quiet

    /// A bar on a terminal that can draw one, otherwise `elsewhere`.
    public static func automatic(descriptor: Int32 = STDERR_FILENO, elsewhere: ProgressStyle = .quiet) -> ProgressStyle {
        let canDraw = isatty(descriptor) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
        return canDraw ? .bar : elsewhere
    }
}
