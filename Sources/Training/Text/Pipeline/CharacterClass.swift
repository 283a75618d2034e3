/// The general categories that pre-tokenizers ask for, with one table for the basic plane since asking Unicode each time is slow.
struct CharacterClass: OptionSet {
    let rawValue: UInt8

    /// `\p{L}`
    static let letter = CharacterClass(rawValue: 1)
    /// `\p{N}`
    static let number = CharacterClass(rawValue: 2)
    /// `\s`: the property White_Space
    static let whitespace = CharacterClass(rawValue: 4)
    /// `[\r\n]`
    static let lineBreak = CharacterClass(rawValue: 8)
    /// `\w` of Rust's `regex`: Alphabetic, M, Nd, Pc and Join_Control (UTS #18, annex C)
    static let word = CharacterClass(rawValue: 16)
    /// `\p{P}` of Unicode 8 and ASCII punctuation
    static let punctuation = CharacterClass(rawValue: 32)

    private static let basicPlane: [UInt8] = (0..<0x10000).map { value in
        Unicode.Scalar(UInt32(value)).map { classify($0).rawValue } ?? 0
    }

    @inline(__always)
    static func of(_ value: UInt32) -> CharacterClass {
        if value < 0x10000 { return CharacterClass(rawValue: basicPlane[Int(value)]) }
        return Unicode.Scalar(value).map(classify) ?? []
    }

    private static func classify(_ scalar: Unicode.Scalar) -> CharacterClass {
        var result: CharacterClass = []
        let properties = scalar.properties
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            result.insert(.letter)
        case .decimalNumber:
            result.formUnion([.number, .word])
        case .letterNumber, .otherNumber:
            result.insert(.number)
        case .nonspacingMark, .spacingMark, .enclosingMark:
            result.insert(.word)
        case .connectorPunctuation:
            result.formUnion(scalar.isAssigned(byUnicode: 8) ? [.punctuation, .word] : .word)
        case .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation, .otherPunctuation:
            if scalar.isAssigned(byUnicode: 8) { result.insert(.punctuation) }
        default:
            break
        }
        if properties.isAlphabetic || properties.isJoinControl { result.insert(.word) }
        if properties.isWhitespace { result.insert(.whitespace) }
        if scalar == "\n" || scalar == "\r" { result.insert(.lineBreak) }
        if isASCIISymbol(scalar) { result.insert(.punctuation) }
        return result
    }

    /// The printable ASCII that is neither letter, digit nor space: BERT calls all of it punctuation.
    private static func isASCIISymbol(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}

extension Unicode.Scalar {
    /// Whether the scalar has been in Unicode since a version.
    ///
    /// The `tokenizers` package knows punctuation, accents and control characters as of Unicode 8 (its crate `unicode_categories`) and
    /// normalisation as of Unicode 9 (`unicode-normalization-alignments`); to later scalars it does nothing.
    func isAssigned(byUnicode version: Int) -> Bool { properties.age.map { $0.major <= version } ?? false }
}
