import Foundation

/// What a worker tells its queue: one JSON object a line on standard output. Lines that are none are passed over.
enum WorkerMessage: Codable, Sendable, Equatable {
    /// Before the first seed is measured: how many an earlier run has measured.
    case started(seedsDone: Int)
    /// The line is empty when nothing but the number of seeds is new.
    case progress(line: String, seedsDone: Int)
    case report(path: String)
    case error(message: String)

    /// The message with the line's end.
    func line() -> Data {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let json = try? encoder.encode(self) else { preconditionFailure("strings and integers are always JSON") }
        return json + [0x0A]
    }

    init?(line: Data) {
        guard let message = try? JSONDecoder().decode(WorkerMessage.self, from: line) else { return nil }
        self = message
    }

    /// A text as a display takes it: one line without control characters, at most 300 characters.
    static func displayable(_ text: String) -> String {
        let blank: String = String(text.prefix(2000).map { $0.isNewline || $0 == "\t" ? " " : $0 })
        let clean: String.UnicodeScalarView = String.UnicodeScalarView(
            blank.unicodeScalars.filter { $0.properties.generalCategory != .control })
        return String(String(clean).trimmingCharacters(in: .whitespaces).prefix(300))
    }
}

/// Cuts a stream of bytes into lines. A line longer than the limit is dropped, so that what a program writes cannot fill the memory.
struct LineSplitter {
    private let limit: Int
    private var rest: Data = Data()
    private var isDropping: Bool = false

    init(limit: Int = 1 << 16) { self.limit = limit }

    /// - Returns: the lines that these bytes end, without their ends.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> [Data] {
        var lines: [Data] = []
        var start: Int = 0
        for (index, byte) in bytes.enumerated() where byte == 0x0A {
            take(bytes[start..<index])
            if !isDropping { lines.append(rest) }
            (rest, isDropping) = (Data(), false)
            start = index + 1
        }
        take(bytes[start...])
        return lines
    }

    private mutating func take(_ bytes: Slice<UnsafeRawBufferPointer>) {
        guard !isDropping else { return }
        rest.append(contentsOf: bytes)
        guard rest.count > limit else { return }
        (rest, isDropping) = (Data(), true)
    }
}
