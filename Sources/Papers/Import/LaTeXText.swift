import Foundation

/// Plain text from the TeX that BibTeX values are in, and back.
enum LaTeXText {
    /// Accents become letters, braces and formatting commands go, `$…$` stays as it is.
    static func plain(_ tex: String) -> String {
        var reader: Reader = Reader(rest: tex[...])
        return reader.read().precomposedStringWithCanonicalMapping
    }

    /// TeX that reads as this text; what ``plain(_:)`` makes of it is the text again.
    static func tex(_ text: String) -> String {
        var tex: String = ""
        var before: Character = " "
        for character in text {
            // Two of these would be joined to a dash or a quotation mark.
            if character == before, "-`'".contains(character) { tex += "{}" }
            tex += escapes[character] ?? String(character)
            before = character
        }
        return tex
    }

    /// The pieces between separators outside of braces.
    static func split(_ tex: String, at isSeparator: (Substring) -> Int?) -> [String] {
        var pieces: [String] = [""]
        var depth: Int = 0
        var rest: Substring = tex[...]
        while let character = rest.first {
            if depth == 0, let length = isSeparator(rest) {
                rest = rest.dropFirst(length)
                pieces.append("")
                continue
            }
            if character == "{" { depth += 1 }
            if character == "}" { depth -= 1 }
            pieces[pieces.count - 1].append(character)
            rest.removeFirst()
        }
        return pieces.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
    }

    private static let escapes: [Character: String] = [
        "\\": "\\textbackslash{}", "{": "\\textbraceleft{}", "}": "\\textbraceright{}", "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}", "$": "\\$", "&": "\\&", "%": "\\%", "#": "\\#", "_": "\\_",
    ]

    private static let symbols: [String: String] = [
        "textbackslash": "\\", "textbraceleft": "{", "textbraceright": "}", "textasciitilde": "~", "textasciicircum": "^", "ss": "ß",
        "o": "ø",
        "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "i": "ı", "j": "ȷ", "dh": "ð",
        "th": "þ", "dj": "đ", "textendash": "–", "textemdash": "—", "textquoteright": "’", "ldots": "…", "dots": "…",
    ]

    /// Combining marks by accent command.
    private static let accents: [String: String] = [
        "`": "\u{300}", "'": "\u{301}", "^": "\u{302}", "~": "\u{303}", "=": "\u{304}", "u": "\u{306}", ".": "\u{307}", "\"": "\u{308}",
        "r": "\u{30a}", "H": "\u{30b}", "v": "\u{30c}", "d": "\u{323}", "c": "\u{327}", "k": "\u{328}", "b": "\u{331}",
    ]

    private static let ligatures: [(tex: String, text: String)] = [("---", "—"), ("--", "–"), ("``", "“"), ("''", "”")]

    private struct Reader {
        var rest: Substring

        mutating func read() -> String {
            var text: String = ""
            while let character = rest.first {
                if let ligature = ligatures.first(where: { rest.hasPrefix($0.tex) }) {
                    rest = rest.dropFirst(ligature.tex.count)
                    text += ligature.text
                    continue
                }
                switch character {
                case "{", "}": rest.removeFirst()
                case "~":
                    rest.removeFirst()
                    text += " "
                case "$": text += formula()
                case "\\": text += command()
                default:
                    rest.removeFirst()
                    text.append(character)
                }
            }
            return text
        }

        /// From one dollar sign to the next.
        private mutating func formula() -> String {
            guard let end = rest.dropFirst().firstIndex(of: "$") else {
                rest.removeFirst()
                return "$"
            }
            defer { rest = rest[rest.index(after: end)...] }
            return String(rest[...end])
        }

        private mutating func command() -> String {
            rest.removeFirst()
            var name: String = String(rest.prefix { $0.isASCII && $0.isLetter })
            if name.isEmpty { name = String(rest.prefix(1)) }
            rest = rest.dropFirst(name.count)
            let isWord: Bool = name.first?.isLetter ?? false
            if let mark = accents[name] { return accented(mark) }
            // Space after a command's name belongs to it.
            if isWord { rest = rest.drop { $0 == " " } }
            if let symbol = symbols[name] {
                if rest.hasPrefix("{}") { rest = rest.dropFirst(2) }
                return symbol
            }
            return isWord ? "" : name
        }

        /// The letter that an accent goes on: the next one, perhaps in braces, perhaps `\i`.
        private mutating func accented(_ mark: String) -> String {
            rest = rest.drop { $0 == " " || $0 == "{" }
            var letter: String = String(rest.prefix(1))
            rest = rest.dropFirst(1)
            if letter == "\\" {
                letter = String(rest.prefix { $0.isASCII && $0.isLetter })
                rest = rest.dropFirst(letter.count)
                if letter != "i", letter != "j" { letter = symbols[letter] ?? letter }
            }
            if rest.first == "}" { rest.removeFirst() }
            return letter + mark
        }
    }
}
