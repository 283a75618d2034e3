import Foundation

/// Cuts text into words just as the full-text index does (FTS5's `unicode61 remove_diacritics 2` and `porter`), so that what is computed
/// here agrees with what SQLite finds.
enum TextAnalyzer {
    /// Runs of letters and digits in lower case without diacritics: "Linear-Attention" gives "linear" and "attention".
    static func words(_ text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        func finish() {
            if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self)) }
            word.removeAll(keepingCapacity: true)
        }
        for scalar in text.unicodeScalars {
            if scalar.value < 128 {
                let byte: UInt8 = UInt8(scalar.value)
                switch byte {
                case 0x61...0x7a, 0x30...0x39: word.append(byte)
                case 0x41...0x5a: word.append(byte + 32)
                default: finish()
                }
            } else if isPart(scalar) {
                word.append(contentsOf: folded(scalar).utf8)
            } else if scalar.properties.generalCategory != .nonspacingMark || word.isEmpty {
                // A combining accent belongs to the letter before it and is dropped.
                finish()
            }
        }
        finish()
        return words
    }

    /// The stems of a text's words.
    static func stems(_ text: String) -> [String] { words(text).map(PorterStemmer.stem) }

    /// Words that say nothing by themselves; a query of other words does without them.
    static let stopWords: Set<String> = Set(
        """
        a about after all also am an and any are as at be been being between both but by can could did do does done each for from had has have \
        how i if in into is it its may more most no not of on one only or our other over s should so some such than that the their them then \
        there these they this those through thus to too under up upon us use used using via was we were what when where which while who why \
        will with within without would you your
        """.split(separator: " ").map(String.init))

    private static func isPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber, .letterNumber,
            .otherNumber,
            .privateUse:
            true
        default: false
        }
    }

    /// In lower case; accents go from Latin letters only, as in SQLite.
    private static func folded(_ scalar: Unicode.Scalar) -> String {
        let lower: String = scalar.properties.lowercaseMapping
        let base: Unicode.Scalar? = lower.decomposedStringWithCanonicalMapping.unicodeScalars.first
        return base.map { $0.isASCII ? String($0) : lower } ?? lower
    }
}
