/// Strings by their Unicode scalars, as Python's.
enum TemplateStrings {
    /// Where a text begins first in another, in its UTF-8. A valid text is found at the borders of scalars only.
    static func firstRange(of searched: String, in text: String, from start: Int = 0) -> Range<Int>? {
        let (needle, hay): ([UInt8], [UInt8]) = (Array(searched.utf8), Array(text.utf8))
        return firstRange(of: needle, in: hay, from: start)
    }

    static func firstRange(of needle: [UInt8], in hay: [UInt8], from start: Int) -> Range<Int>? {
        guard hay.count - start >= needle.count else { return nil }
        guard let first = needle.first else { return start..<start }
        for index in start...(hay.count - needle.count) where hay[index] == first && hay[index..<index + needle.count].elementsEqual(needle)
        {
            return index..<index + needle.count
        }
        return nil
    }

    static func stripped(_ text: String, _ characters: String?, start: Bool = true, end: Bool = true) -> String {
        let dropped: Set<Unicode.Scalar>? = characters.map { Set($0.unicodeScalars) }
        func isDropped(_ scalar: Unicode.Scalar) -> Bool { dropped.map { $0.contains(scalar) } ?? scalar.isTemplateSpace }
        var scalars: Substring.UnicodeScalarView = text[...].unicodeScalars
        if start { scalars = scalars.drop(while: isDropped) }
        while end, let last = scalars.last, isDropped(last) { scalars.removeLast() }
        return String(scalars)
    }

    /// The parts between a separator, at most `most` times (nil: always).
    static func split(_ text: String, by separator: String, most: Int?) -> [String] {
        let (needle, hay): ([UInt8], [UInt8]) = (Array(separator.utf8), Array(text.utf8))
        var parts: [String] = []
        var start: Int = 0
        while most.map({ parts.count < $0 }) ?? true, let range = firstRange(of: needle, in: hay, from: start) {
            parts.append(String(decoding: hay[start..<range.lowerBound], as: UTF8.self))
            start = range.upperBound
        }
        return parts + [String(decoding: hay[start...], as: UTF8.self)]
    }

    /// The words between white space, at most `most` times; what is left after that stays as it is.
    static func words(_ text: String, most: Int?) -> [String] {
        var rest: Substring.UnicodeScalarView = text[...].unicodeScalars.drop(while: \.isTemplateSpace)
        var words: [String] = []
        while !rest.isEmpty, most.map({ words.count < $0 }) ?? true {
            words.append(String(rest.prefix { !$0.isTemplateSpace }))
            rest = rest.drop { !$0.isTemplateSpace }.drop(while: \.isTemplateSpace)
        }
        return rest.isEmpty ? words : words + [String(rest)]
    }

    static func capitalized(_ text: String) -> String {
        String(text.prefix(1)).uppercased() + text.dropFirst().lowercased()
    }

    /// Every run of letters with its first letter large.
    static func titled(_ text: String) -> String {
        var result: String = ""
        var isInside: Bool = false
        for scalar in text.unicodeScalars {
            let isLetter: Bool = scalar.properties.isAlphabetic
            result += !isLetter ? String(scalar) : isInside ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            isInside = isLetter
        }
        return result
    }
}
