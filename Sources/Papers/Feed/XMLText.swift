import Experiments

/// Text as XML and HTML can hold it.
enum XMLText {
    /// Escapes markup and quotes, and leaves out the control characters and surrogates that XML 1.0 forbids (section 2.2).
    static func escaped(_ text: String) -> String {
        HTML.escaped(String(String.UnicodeScalarView(text.unicodeScalars.filter(isAllowed))))
    }

    /// One line without control characters, each run of white space one space: what a title or a subject can be.
    static func line(_ text: String) -> String {
        let words: [String] = text.split(whereSeparator: \.isWhitespace).map { word in
            String(String.UnicodeScalarView(word.unicodeScalars.filter { isAllowed($0) && $0.properties.generalCategory != .control }))
        }
        return words.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xa, 0xd, 0x20...0xd7ff, 0xe000...0xfffd, 0x10000...0x10ffff: true
        default: false
        }
    }
}
