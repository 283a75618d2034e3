/// Hand-written forms of the pre-tokenisation patterns that nearly all byte-level vocabularies use.
///
/// Each pattern matches at every place of a text, so that its matches cut the text into pieces without gaps.
enum PatternScanner: Sendable, Equatable {
    /// GPT-2: contractions, then words, numbers and signs with at most one space before, then whitespace.
    case gpt2
    /// cl100k, Llama 3 and Qwen 2: words take any sign before them, digits come in groups of at most `digits`, line breaks end pieces.
    case grouped(digits: Int)

    /// The scanner of a pattern, where there is one.
    init?(pattern: String) {
        switch pattern {
        case Self.gpt2Pattern: self = .gpt2
        case Self.groupedPattern("\\p{N}{1,3}"), Self.possessivePattern: self = .grouped(digits: 3)
        case Self.groupedPattern("\\p{N}"): self = .grouped(digits: 1)
        default: return nil
        }
    }

    static let gpt2Pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    static func groupedPattern(_ number: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    /// The pattern as tiktoken writes it for cl100k; possessive quantifiers change the speed, not the matches.
    static let possessivePattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#

    /// The pieces' ranges, which cover the text.
    func matches(in text: ArraySlice<UInt8>) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(text.count / 4)
        text.withUnsafeBufferPointer { buffer in
            let cursor = ScanCursor(bytes: buffer)
            var start = 0
            while start < buffer.count {
                let end = self == .gpt2 ? cursor.gpt2End(from: start) : cursor.groupedEnd(from: start, digits: digitGroup)
                ranges.append(text.startIndex + start..<text.startIndex + end)
                start = end
            }
        }
        return ranges
    }

    private var digitGroup: Int {
        switch self {
        case .gpt2: .max
        case .grouped(let digits): digits
        }
    }
}

/// The scalar classes of one text, and where the piece that starts at an index ends.
private struct ScanCursor {
    let bytes: UnsafeBufferPointer<UInt8>

    private static let apostrophe = UInt8(ascii: "'")
    private static let space = UInt8(ascii: " ")

    /// The class of the scalar at an index and the index after it; no class at the end.
    @inline(__always)
    private func look(_ index: Int) -> (kind: CharacterClass, next: Int) {
        guard index < bytes.count else { return ([], index) }
        let (value, next) = UTF8Scalars.scalar(in: bytes, at: index)
        return (CharacterClass.of(value), next)
    }

    /// `\p{L}*`, `\p{N}*`: the end of a run of one class, at most so many scalars long.
    private func endOfRun(_ kind: CharacterClass, from start: Int, atMost limit: Int = .max) -> Int {
        var index = start
        var count = 0
        while count < limit, index < bytes.count {
            let (found, next) = look(index)
            guard !found.isDisjoint(with: kind) else { break }
            index = next
            count += 1
        }
        return index
    }

    private func isSign(_ kind: CharacterClass, at index: Int) -> Bool {
        index < bytes.count && kind.isDisjoint(with: [.letter, .number, .whitespace])
    }

    /// `[^\s\p{L}\p{N}]*`
    private func endOfSigns(from start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let (kind, next) = look(index)
            guard isSign(kind, at: index) else { break }
            index = next
        }
        return index
    }

    /// `\s+(?!\S)|\s+`: all of the whitespace at the text's end, else all but its last scalar, but at least one.
    private func endOfWhitespace(from start: Int) -> Int {
        var index = start
        var last = start
        while index < bytes.count {
            let (kind, next) = look(index)
            guard kind.contains(.whitespace) else { break }
            last = index
            index = next
        }
        return index == bytes.count || last == start ? index : last
    }

    func gpt2End(from start: Int) -> Int {
        if bytes[start] == Self.apostrophe, let end = contractionEnd(from: start, foldingCase: false) { return end }
        let (first, afterFirst) = look(start)
        let hasSpace = bytes[start] == Self.space
        let (kind, body) = hasSpace ? (look(afterFirst).kind, afterFirst) : (first, start)
        if kind.contains(.letter) { return endOfRun(.letter, from: body) }
        if kind.contains(.number) { return endOfRun(.number, from: body) }
        if isSign(kind, at: body) { return endOfSigns(from: body) }
        return endOfWhitespace(from: start)
    }

    func groupedEnd(from start: Int, digits: Int) -> Int {
        if bytes[start] == Self.apostrophe, let end = contractionEnd(from: start, foldingCase: true) { return end }
        let (first, afterFirst) = look(start)
        if first.contains(.letter) { return endOfRun(.letter, from: start) }
        let second = look(afterFirst).kind
        if second.contains(.letter), first.isDisjoint(with: [.number, .lineBreak]) { return endOfRun(.letter, from: afterFirst) }
        if first.contains(.number) { return endOfRun(.number, from: start, atMost: digits) }
        if isSign(first, at: start) { return endOfRun(.lineBreak, from: endOfSigns(from: start)) }
        if bytes[start] == Self.space, isSign(second, at: afterFirst) { return endOfRun(.lineBreak, from: endOfSigns(from: afterFirst)) }
        return endOfLastLineBreak(from: start) ?? endOfWhitespace(from: start)
    }

    /// `\s*[\r\n]+`: up to the last line break of the whitespace that starts here.
    private func endOfLastLineBreak(from start: Int) -> Int? {
        var index = start
        var end: Int?
        while index < bytes.count {
            let (kind, next) = look(index)
            guard kind.contains(.whitespace) else { break }
            if kind.contains(.lineBreak) { end = next }
            index = next
        }
        return end
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d`
    private func contractionEnd(from start: Int, foldingCase: Bool) -> Int? {
        guard let (first, afterFirst) = contractionLetter(at: start + 1, foldingCase: foldingCase) else { return nil }
        if "stmd".unicodeScalars.contains(first) { return afterFirst }
        guard let (second, afterSecond) = contractionLetter(at: afterFirst, foldingCase: foldingCase) else { return nil }
        switch (first, second) {
        case ("r", "e"), ("v", "e"), ("l", "l"): return afterSecond
        default: return nil
        }
    }

    /// The letter at an index, in lower case if case does not count; "ſ" is then an "s", as case folding has it.
    private func contractionLetter(at index: Int, foldingCase: Bool) -> (letter: Unicode.Scalar, next: Int)? {
        guard index < bytes.count else { return nil }
        let (value, next) = UTF8Scalars.scalar(in: bytes, at: index)
        guard let scalar = Unicode.Scalar(value) else { return nil }
        guard foldingCase else { return (scalar, next) }
        if scalar == "\u{17F}" { return ("s", next) }
        return (scalar.properties.lowercaseMapping.unicodeScalars.first ?? scalar, next)
    }
}
