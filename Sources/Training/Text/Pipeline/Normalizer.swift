/// Rewrites a text before it is cut (`normalizer` in the file).
indirect enum Normalizer: Sendable {
    case unicode(NormalizationForm)
    case lowercase
    case replace(TextPattern, by: [UInt8])
    case prepend([UInt8])
    case strip(left: Bool, right: Bool)
    case stripAccents
    case nmt
    case byteLevel
    case bert(BertNormalizer)
    case sequence([Normalizer])

    init(_ field: JSONField) throws {
        let type = try field.type()
        switch type {
        case "Lowercase": self = .lowercase
        case "Replace": self = .replace(try TextPattern(field.required("pattern")), by: try field.required("content").bytes())
        case "Prepend": self = .prepend(try field.required("prepend").bytes())
        case "Strip":
            self = .strip(left: try field.required("strip_left").bool(), right: try field.required("strip_right").bool())
        case "StripAccents": self = .stripAccents
        case "Nmt": self = .nmt
        case "ByteLevel": self = .byteLevel
        case "BertNormalizer": self = .bert(try BertNormalizer(field))
        case "Sequence": self = .sequence(try field.required("normalizers").elements().map(Normalizer.init))
        default:
            guard let form = NormalizationForm(rawValue: type) else { throw field.unsupported("normalizer \(type)") }
            self = .unicode(form)
        }
    }

    func normalize(_ text: [UInt8]) -> [UInt8] {
        switch self {
        case .unicode(let form): return form.apply(to: text)
        case .lowercase: return Self.lowercased(text)
        case .replace(let pattern, let content): return pattern.replaceMatches(in: text[...], by: content)
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .strip(let left, let right): return Self.stripped(text, left: left, right: right)
        case .stripAccents: return Self.filtered(text) { !$0.isMark }
        case .nmt: return UTF8Scalars.bytes(of: UTF8Scalars.scalars(of: text).compactMap(Self.nmt))
        case .byteLevel: return ByteAlphabet.encode(text)
        case .bert(let normalizer): return normalizer.normalize(text)
        case .sequence(let steps): return steps.reduce(text) { $1.normalize($0) }
        }
    }

    /// Every scalar in lower case by itself, without regard to its neighbours (no final sigma).
    static func lowercased(_ text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }
        return UTF8Scalars.bytes(of: UTF8Scalars.scalars(of: text).flatMap { $0.properties.lowercaseMapping.unicodeScalars })
    }

    static func filtered(_ text: [UInt8], _ keep: (Unicode.Scalar) -> Bool) -> [UInt8] {
        UTF8Scalars.bytes(of: UTF8Scalars.scalars(of: text).filter(keep))
    }

    private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
        var scalars = UTF8Scalars.scalars(of: text)[...]
        while left, let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
        while right, let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return UTF8Scalars.bytes(of: scalars)
    }

    /// SentencePiece's rules for machine translation: control characters go, odd spaces become spaces.
    private static func nmt(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        switch scalar.value {
        case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: nil
        case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: " "
        default: scalar
        }
    }
}

/// BERT's rules: control characters go, ideographs stand apart, accents and capitals go.
struct BertNormalizer: Sendable {
    let cleansText: Bool
    let isolatesIdeographs: Bool
    let stripsAccents: Bool
    let lowercases: Bool

    init(_ field: JSONField) throws {
        cleansText = try field.required("clean_text").bool()
        isolatesIdeographs = try field.required("handle_chinese_chars").bool()
        lowercases = try field.required("lowercase").bool()
        stripsAccents = try field.optional("strip_accents")?.bool() ?? lowercases
    }

    func normalize(_ text: [UInt8]) -> [UInt8] {
        var text = text
        if cleansText { text = cleaned(text) }
        if isolatesIdeographs { text = isolated(text) }
        if stripsAccents {
            text = Normalizer.filtered(NormalizationForm.nfd.apply(to: text)) { !$0.isBertAccent }
        }
        return lowercases ? Normalizer.lowercased(text) : text
    }

    private func cleaned(_ text: [UInt8]) -> [UInt8] {
        let kept = UTF8Scalars.scalars(of: text).compactMap { scalar -> Unicode.Scalar? in
            if scalar == "\t" || scalar == "\n" || scalar == "\r" { return " " }
            if scalar.value == 0 || scalar.value == 0xFFFD || scalar.isControl { return nil }
            return scalar.properties.isWhitespace ? " " : scalar
        }
        return UTF8Scalars.bytes(of: kept)
    }

    private func isolated(_ text: [UInt8]) -> [UInt8] {
        UTF8Scalars.bytes(of: UTF8Scalars.scalars(of: text).flatMap { $0.isBertIdeograph ? [" ", $0, " "] : [$0] })
    }
}

extension Unicode.Scalar {
    fileprivate var isMark: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: isAssigned(byUnicode: 9)
        default: false
        }
    }

    /// Category C without unassigned scalars.
    fileprivate var isControl: Bool {
        switch properties.generalCategory {
        case .control, .format, .privateUse: isAssigned(byUnicode: 8)
        default: false
        }
    }

    /// Category Mn.
    fileprivate var isBertAccent: Bool { properties.generalCategory == .nonspacingMark && isAssigned(byUnicode: 8) }

    /// The blocks that BERT treats as Chinese, as the `tokenizers` package lists them.
    fileprivate var isBertIdeograph: Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
            0xF900...0xFAFF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }
}
