/// Finds stop strings in text that comes in pieces. Text that might be the beginning of one is held back until that is decided.
struct StopScanner: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []

    /// Empty stop strings are ignored.
    init(_ stops: [String]) { self.stops = stops.filter { !$0.isEmpty }.map { Array($0.utf8) } }

    /// Takes a piece in and gives the text that is certain not to be part of a stop string, and whether one was found, which ends the text.
    mutating func append(_ piece: String) -> (text: String, found: Bool) {
        if stops.isEmpty { return (piece, false) }
        held += Array(piece.utf8)
        if let start = firstMatch() {
            let text: String = String(decoding: held[..<start], as: UTF8.self)
            held = []
            return (text, true)
        }
        let certain: Int = held.count - longestBeginning()
        defer { held.removeFirst(certain) }
        return (String(decoding: held[..<certain], as: UTF8.self), false)
    }

    /// The text that was held back, at the end of the generation.
    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// Where the first stop string begins.
    private func firstMatch() -> Int? {
        held.indices.first { start in stops.contains { held[start...].starts(with: $0) } }
    }

    /// Bytes at the end that a stop string begins with. UTF-8 never takes the middle of a character for the beginning of one.
    private func longestBeginning() -> Int {
        let longest: Int = min(held.count, (stops.map(\.count).max() ?? 1) - 1)
        return (0...longest).last { count in stops.contains { $0.count > count && $0.starts(with: held.suffix(count)) } } ?? 0
    }
}
