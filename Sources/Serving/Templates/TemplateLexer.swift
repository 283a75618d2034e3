/// A piece of a template.
struct TemplateToken: Equatable {
    enum Kind: Equatable {
        /// Text outside of tags.
        case text(String)
        case name(String)
        case string(String)
        case integer(Int)
        case number(Double)
        case symbol(String)
        /// `{{`, `}}`, `{%`, `%}`.
        case outputBegin, outputEnd, blockBegin, blockEnd
        case end
    }

    let kind: Kind
    let line: Int
}

/// Cuts a Jinja template into tokens, with `trim_blocks` and `lstrip_blocks` as Hugging Face's transformers sets them: the line break behind a block
/// is dropped, and so is the white space before one that begins its line.
struct TemplateLexer {
    private let source: [Unicode.Scalar]
    private var position: Int = 0
    private var line: Int = 1
    private var tokens: [TemplateToken] = []
    /// Whether the text to come begins at the beginning of a line.
    private var beginsLine: Bool = true

    /// Line breaks become `\n`, and one that ends the template is dropped.
    init(_ text: String) {
        var scalars: [Unicode.Scalar] = []
        scalars.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
            scalars.append(scalar)
        }
        source = scalars.map { $0 == "\r" ? "\n" : $0 }.dropping(last: "\n")
    }

    /// - Throws: ``TemplateError/syntax(line:_:)``.
    static func tokens(of text: String) throws(TemplateError) -> [TemplateToken] {
        var lexer: TemplateLexer = TemplateLexer(text)
        while lexer.position < lexer.source.count { try lexer.readTextAndTag() }
        lexer.append(.end)
        return lexer.tokens
    }

    private func failure(_ reason: String) -> TemplateError { .syntax(line: line, reason) }

    private mutating func append(_ kind: TemplateToken.Kind) { tokens.append(TemplateToken(kind: kind, line: line)) }

    /// Whether the source goes on with these characters.
    private func isAt(_ text: String, _ offset: Int = 0) -> Bool {
        let wanted: String.UnicodeScalarView = text.unicodeScalars
        return source.dropFirst(position + offset).prefix(wanted.count).elementsEqual(wanted)
    }

    /// Takes characters out of the source.
    @discardableResult
    private mutating func take(_ count: Int) -> ArraySlice<Unicode.Scalar> {
        let taken: ArraySlice<Unicode.Scalar> = source[position..<min(position + count, source.count)]
        line += taken.count(where: { $0 == "\n" })
        position += taken.count
        return taken
    }

    private mutating func skipSpace() {
        take(source[position...].prefix { $0.isTemplateSpace }.count)
    }

    // MARK: Text and tags

    private enum Tag { case output, block, comment }

    private mutating func readTextAndTag() throws(TemplateError) {
        let start: Int = position
        var tag: Tag?
        while position < source.count, tag == nil {
            if isAt("{{") { tag = .output } else if isAt("{%") { tag = .block } else if isAt("{#") { tag = .comment } else { take(1) }
        }
        let mark: Unicode.Scalar? = position + 2 < source.count ? source[position + 2] : nil
        appendText(source[start..<position], before: tag, mark: mark)
        guard let tag else { return }
        take(mark == "-" || mark == "+" ? 3 : 2)
        switch tag {
        case .comment: try skipComment()
        case .output: try readTag(.outputBegin, closing: "}}")
        case .block: if try !readRaw() { try readTag(.blockBegin, closing: "%}") }
        }
    }

    private mutating func appendText(_ scalars: ArraySlice<Unicode.Scalar>, before tag: Tag?, mark: Unicode.Scalar?) {
        var kept: ArraySlice<Unicode.Scalar> = scalars
        if tag != nil, mark == "-" {
            while kept.last?.isTemplateSpace == true { kept.removeLast() }
        } else if let tag, tag != .output, mark != "+" {
            let lastLine: ArraySlice<Unicode.Scalar> = kept.suffix(while: { $0 != "\n" })
            if (lastLine.count < kept.count || beginsLine) && lastLine.allSatisfy(\.isTemplateSpace) { kept.removeLast(lastLine.count) }
        }
        if !kept.isEmpty { append(.text(String(kept))) }
    }

    /// Takes the end of a tag with what its mark says of the text behind: `-` drops all white space, else a block drops one line break.
    private mutating func takeEnd(_ closing: String, dropsBreak: Bool) -> Bool {
        let before: Int = position
        if isAt("-" + closing) {
            take(3)
            skipSpace()
        } else if dropsBreak, isAt("+" + closing) {
            take(3)
        } else if isAt(closing) {
            take(2)
            if dropsBreak, isAt("\n") { take(1) }
        } else {
            return false
        }
        beginsLine = position > before && source[position - 1] == "\n"
        return true
    }

    private mutating func skipComment() throws(TemplateError) {
        let first: Int = line
        while !takeEnd("#}", dropsBreak: true) {
            guard position < source.count else { throw .syntax(line: first, "a comment has no end") }
            take(1)
        }
    }

    /// `{% raw %}`, whose content is text; false where the block is another one.
    private mutating func readRaw() throws(TemplateError) -> Bool {
        let (start, first): (Int, Int) = (position, line)
        guard takeWord("raw"), takeEnd("%}", dropsBreak: false) else {
            (position, line) = (start, first)
            return false
        }
        let content: Int = position
        while position < source.count {
            if isAt("{%") {
                let (end, endLine): (Int, Int) = (position, line)
                let mark: Unicode.Scalar? = position + 2 < source.count ? source[position + 2] : nil
                take(mark == "-" || mark == "+" ? 3 : 2)
                let isEnd: Bool = takeWord("endraw")
                if isEnd {
                    appendText(source[content..<end], before: .block, mark: mark)
                    if takeEnd("%}", dropsBreak: true) { return true }
                }
                (position, line) = (end, endLine)
            }
            take(1)
        }
        throw .syntax(line: first, "a raw block has no end")
    }

    private mutating func takeWord(_ word: String) -> Bool {
        skipSpace()
        guard isAt(word), !(source[position...].dropFirst(word.count).first?.isTemplateLetter ?? false) else { return false }
        take(word.count)
        skipSpace()
        return true
    }

    // MARK: Inside tags

    private static let symbols: [String] = [
        "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "~", "(", ")", "[", "]", "{", "}", "<", ">", "=", ".", ",", ":", "|",
        ";",
    ]

    private mutating func readTag(_ begin: TemplateToken.Kind, closing: String) throws(TemplateError) {
        append(begin)
        var open: [String] = []
        while true {
            skipSpace()
            guard position < source.count else { throw failure("a tag has no end") }
            if open.isEmpty {
                let end: TemplateToken = TemplateToken(kind: closing == "}}" ? .outputEnd : .blockEnd, line: line)
                if takeEnd(closing, dropsBreak: closing == "%}") {
                    tokens.append(end)
                    return
                }
            }
            try readToken(&open)
        }
    }

    private mutating func readToken(_ open: inout [String]) throws(TemplateError) {
        let scalar: Unicode.Scalar = source[position]
        if scalar.isTemplateDigit { return try readNumber() }
        if scalar.isTemplateLetter { return append(.name(String(take(source[position...].prefix { $0.isTemplateLetter }.count)))) }
        if scalar == "'" || scalar == "\"" { return try readString(scalar) }
        guard let symbol = Self.symbols.first(where: { isAt($0) }) else { throw failure("'\(scalar)' is not expected") }
        let closed: [String: String] = [")": "(", "]": "[", "}": "{"]
        if ["(", "[", "{"].contains(symbol) { open.append(symbol) }
        if let opening = closed[symbol], open.popLast() != opening { throw failure("'\(symbol)' closes nothing") }
        append(.symbol(symbol))
        take(symbol.count)
    }

    private mutating func readNumber() throws(TemplateError) {
        func digits(_ start: Int) -> Int { source[start...].prefix { $0.isTemplateDigit || $0 == "_" }.count }
        var count: Int = digits(position)
        var isWhole: Bool = true
        let next: Int = position + count
        if next + 1 < source.count, source[next] == ".", source[next + 1].isTemplateDigit {
            count += 1 + digits(next + 1)
            isWhole = false
        }
        if position + count < source.count, source[position + count] == "e" || source[position + count] == "E" {
            var start: Int = position + count + 1
            if start < source.count, source[start] == "-" || source[start] == "+" { start += 1 }
            let exponent: Int = start < source.count ? digits(start) : 0
            if exponent > 0 { (count, isWhole) = (start - position + exponent, false) }
        }
        let text: String = String(source[position..<position + count]).filter { $0 != "_" }
        if isWhole {
            guard let value = Int(text) else { throw failure("the number \(text.prefix(30)) is too large") }
            append(.integer(value))
        } else {
            append(.number(Double(text) ?? .nan))
        }
        take(count)
    }

    private mutating func readString(_ quote: Unicode.Scalar) throws(TemplateError) {
        let first: Int = line
        take(1)
        var text: String.UnicodeScalarView = String.UnicodeScalarView()
        while true {
            guard position < source.count else { throw .syntax(line: first, "a string has no end") }
            let scalar: Unicode.Scalar = source[position]
            take(1)
            if scalar == quote { break }
            if scalar == "\\" { try readEscape(into: &text) } else { text.append(scalar) }
        }
        tokens.append(TemplateToken(kind: .string(String(text)), line: first))
    }

    /// What follows a backslash, as in Python; a backslash before any other character stays.
    private mutating func readEscape(into text: inout String.UnicodeScalarView) throws(TemplateError) {
        guard position < source.count else { return }
        let plain: [Unicode.Scalar: Unicode.Scalar] = [
            "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "0": "\0", "a": "\u{7}", "b": "\u{8}", "f": "\u{C}",
            "v": "\u{B}",
        ]
        let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
        let scalar: Unicode.Scalar = source[position]
        if let value = plain[scalar] {
            take(1)
            text.append(value)
        } else if let length = lengths[scalar] {
            take(1)
            guard let code = UInt32(String(take(length)), radix: 16), let value = Unicode.Scalar(code) else {
                throw failure("an escape of a string is no character")
            }
            text.append(value)
        } else if scalar == "\n" {
            take(1)
        } else {
            text.append("\\")
        }
    }
}

extension Unicode.Scalar {
    var isTemplateSpace: Bool { properties.isWhitespace }
    var isTemplateDigit: Bool { ("0"..."9").contains(self) }
    /// Of names.
    var isTemplateLetter: Bool { isTemplateDigit || self == "_" || ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
}

extension String {
    init(_ scalars: ArraySlice<Unicode.Scalar>) {
        var view: UnicodeScalarView = UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(view)
    }
}

extension Array where Element: Equatable {
    fileprivate func dropping(last element: Element) -> [Element] { last == element ? Array(dropLast()) : self }
}

extension ArraySlice {
    /// The longest end whose elements all fit.
    fileprivate func suffix(while fits: (Element) -> Bool) -> ArraySlice { self[(lastIndex { !fits($0) }.map { $0 + 1 } ?? startIndex)...] }
}
