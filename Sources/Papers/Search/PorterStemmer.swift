/// Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980) on UTF-8 bytes, with the bounds that FTS5 sets:
/// words shorter than 3 or longer than 64 bytes stay as they are.
enum PorterStemmer {
    static func stem(_ word: String) -> String {
        var letters: [UInt8] = Array(word.utf8)
        guard letters.count >= 3, letters.count <= 64 else { return word }
        removePlural(&letters)
        removePast(&letters)
        if letters.last == y, hasVowel(letters.dropLast()) { letters[letters.count - 1] = UInt8(ascii: "i") }
        replace(&letters, step2) { measure($0) > 0 }
        replace(&letters, step3) { measure($0) > 0 }
        replace(&letters, step4) { measure($0) > 1 }
        removeFinalE(&letters)
        if letters.count > 1, letters.last == UInt8(ascii: "l"), letters[letters.count - 2] == UInt8(ascii: "l"),
            measure(letters.dropLast()) > 1
        {
            letters.removeLast()
        }
        return String(decoding: letters, as: UTF8.self)
    }

    private static let y: UInt8 = UInt8(ascii: "y")

    private struct Rule {
        let suffix: [UInt8]
        let replacement: [UInt8]

        init(_ suffix: String, _ replacement: String) {
            self.suffix = Array(suffix.utf8)
            self.replacement = Array(replacement.utf8)
        }
    }

    private static let step2: [Rule] = [
        Rule("ational", "ate"), Rule("tional", "tion"), Rule("enci", "ence"), Rule("anci", "ance"), Rule("izer", "ize"),
        Rule("logi", "log"), Rule("bli", "ble"), Rule("alli", "al"), Rule("entli", "ent"), Rule("eli", "e"), Rule("ousli", "ous"),
        Rule("ization", "ize"), Rule("ation", "ate"), Rule("ator", "ate"), Rule("alism", "al"), Rule("iveness", "ive"),
        Rule("fulness", "ful"), Rule("ousness", "ous"), Rule("aliti", "al"), Rule("iviti", "ive"), Rule("biliti", "ble"),
    ]

    private static let step3: [Rule] = [
        Rule("ical", "ic"), Rule("ness", ""), Rule("icate", "ic"), Rule("iciti", "ic"), Rule("ful", ""), Rule("ative", ""),
        Rule("alize", "al"),
    ]

    private static let step4: [Rule] = [
        "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive",
        "ize",
    ].map { Rule($0, "") }

    /// Step 1a.
    private static func removePlural(_ letters: inout [UInt8]) {
        guard ends(letters, "s"), !ends(letters, "ss") else { return }
        let count: Int = letters.count
        letters.removeLast((count > 4 && ends(letters, "sses")) || (count > 3 && ends(letters, "ies")) ? 2 : 1)
    }

    /// Step 1b.
    private static func removePast(_ letters: inout [UInt8]) {
        if letters.count > 3, ends(letters, "eed") {
            if measure(letters.dropLast(3)) > 0 { letters.removeLast() }
            return
        }
        let length: Int = ends(letters, "ed") ? 2 : ends(letters, "ing") ? 3 : 0
        guard length > 0, letters.count > length, hasVowel(letters.dropLast(length)) else { return }
        letters.removeLast(length)
        let last: UInt8 = letters[letters.count - 1]
        if letters.count > 2, ends(letters, "at") || ends(letters, "bl") || ends(letters, "iz") {
            letters.append(UInt8(ascii: "e"))
        } else if letters.count > 1, !isVowel(last, afterConsonant: false), !"lsz".utf8.contains(last), last == letters[letters.count - 2] {
            letters.removeLast()
        } else if measure(letters[...]) == 1, endsInShortSyllable(letters[...]) {
            letters.append(UInt8(ascii: "e"))
        }
    }

    /// Step 5a.
    private static func removeFinalE(_ letters: inout [UInt8]) {
        guard ends(letters, "e") else { return }
        let stem: ArraySlice<UInt8> = letters.dropLast()
        let size: Int = measure(stem)
        if size > 1 || (size == 1 && !endsInShortSyllable(stem)) { letters.removeLast() }
    }

    /// Replaces the first suffix that matches, if the stem before it is long enough; no other suffix is tried then.
    private static func replace(_ letters: inout [UInt8], _ rules: [Rule], if isLongEnough: (ArraySlice<UInt8>) -> Bool) {
        guard let rule = rules.first(where: { letters.count > $0.suffix.count && letters.ends(with: $0.suffix) }) else { return }
        let stem: ArraySlice<UInt8> = letters.dropLast(rule.suffix.count)
        // "ion" only goes after s and t.
        if rule.suffix == ion, stem.last != UInt8(ascii: "s"), stem.last != UInt8(ascii: "t") { return }
        if isLongEnough(stem) { letters = stem + rule.replacement }
    }

    private static let ion: [UInt8] = Array("ion".utf8)

    /// The number of times that vowels are followed by consonants.
    private static func measure(_ letters: ArraySlice<UInt8>) -> Int {
        var count: Int = 0
        var isConsonant: Bool = false
        var sawVowel: Bool = false
        for letter in letters {
            isConsonant = !isVowel(letter, afterConsonant: isConsonant)
            if isConsonant, sawVowel { count += 1 }
            sawVowel = !isConsonant
        }
        return count
    }

    private static func hasVowel(_ letters: ArraySlice<UInt8>) -> Bool {
        letters.enumerated().contains { isVowel($1, afterConsonant: $0 > 0) }
    }

    /// Consonant, vowel, consonant at the end, the last one not w, x or y.
    private static func endsInShortSyllable(_ letters: ArraySlice<UInt8>) -> Bool {
        guard letters.count >= 3, let last = letters.last, !"wxy".utf8.contains(last) else { return false }
        var isConsonant: Bool = false
        let kinds: [Bool] = letters.map {
            isConsonant = !isVowel($0, afterConsonant: isConsonant)
            return isConsonant
        }
        return kinds.suffix(3) == [true, false, true]
    }

    /// A y after a consonant is a vowel.
    private static func isVowel(_ letter: UInt8, afterConsonant: Bool) -> Bool {
        switch letter {
        case UInt8(ascii: "a"), UInt8(ascii: "e"), UInt8(ascii: "i"), UInt8(ascii: "o"), UInt8(ascii: "u"): true
        case y: afterConsonant
        default: false
        }
    }

    private static func ends(_ letters: [UInt8], _ suffix: StaticString) -> Bool {
        let count: Int = suffix.utf8CodeUnitCount
        guard letters.count >= count else { return false }
        for index in 0..<count where letters[letters.count - count + index] != suffix.utf8Start[index] { return false }
        return true
    }
}

extension Array where Element == UInt8 {
    fileprivate func ends(with suffix: [UInt8]) -> Bool { count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix) }
}
