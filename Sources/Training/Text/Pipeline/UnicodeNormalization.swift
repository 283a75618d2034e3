import Foundation

/// The Unicode normalisation forms (UAX #15) as the `tokenizers` package knows them, that is with the characters of Unicode 9.
///
/// Foundation's own forms are not used: on Linux they put some marks in the wrong order and compose beyond the basic plane by mistake
/// (U+10041 U+0301 comes out as "Á"). Of Foundation only the decomposition of single scalars is taken.
enum NormalizationForm: String {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    func apply(to text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        let scalars = UTF8Scalars.scalars(of: text)
        // Below U+0300 nothing combines and everything is composed.
        if self == .nfc, scalars.allSatisfy({ $0.value < 0x300 }) { return text }
        let table = self == .nfc || self == .nfd ? DecompositionTable.canonical : DecompositionTable.compatibility
        var decomposed = scalars.flatMap(table.decompose)
        CanonicalOrder.sort(&decomposed)
        return UTF8Scalars.bytes(of: self == .nfc || self == .nfkc ? Composition.compose(decomposed) : decomposed)
    }
}

/// Marks after a base in ascending combining class, those of one class in the order written.
private enum CanonicalOrder {
    static func sort(_ scalars: inout [Unicode.Scalar]) {
        var start = 0
        while start < scalars.count {
            guard combiningClass(scalars[start]) != 0 else {
                start += 1
                continue
            }
            let end = scalars[start...].firstIndex { combiningClass($0) == 0 } ?? scalars.count
            let sorted = scalars[start..<end].enumerated().sorted { first, second in
                (combiningClass(first.element), first.offset) < (combiningClass(second.element), second.offset)
            }
            scalars.replaceSubrange(start..<end, with: sorted.map(\.element))
            start = end
        }
    }

    static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
        guard scalar.value >= 0x300, scalar.isAssigned(byUnicode: 9) else { return 0 }
        return scalar.properties.canonicalCombiningClass.rawValue
    }
}

/// Hangul syllables are composed of their letters by arithmetic (Unicode standard, section 3.12).
private enum Hangul {
    static let firstSyllable: UInt32 = 0xAC00
    static let firstLead: UInt32 = 0x1100
    static let firstVowel: UInt32 = 0x1161
    /// One before the first trailing consonant.
    static let noTail: UInt32 = 0x11A7
    static let leads: UInt32 = 19
    static let vowels: UInt32 = 21
    static let tails: UInt32 = 28

    static func decompose(_ scalar: Unicode.Scalar) -> [Unicode.Scalar]? {
        guard scalar.value >= firstSyllable, scalar.value < firstSyllable + leads * vowels * tails else { return nil }
        let index = scalar.value - firstSyllable
        let lead = firstLead + index / (vowels * tails)
        let vowel = firstVowel + index % (vowels * tails) / tails
        let tail = noTail + index % tails
        return [lead, vowel, tail].filter { $0 != noTail }.compactMap(Unicode.Scalar.init)
    }

    static func compose(_ first: UInt32, _ second: UInt32) -> Unicode.Scalar? {
        if (firstLead..<firstLead + leads).contains(first), (firstVowel..<firstVowel + vowels).contains(second) {
            return Unicode.Scalar(firstSyllable + ((first - firstLead) * vowels + (second - firstVowel)) * tails)
        }
        let isOpen = first >= firstSyllable && first < firstSyllable + leads * vowels * tails && (first - firstSyllable) % tails == 0
        guard isOpen, (noTail + 1..<noTail + tails).contains(second) else { return nil }
        return Unicode.Scalar(first + (second - noTail))
    }
}

/// The full decompositions of single scalars.
private struct DecompositionTable {
    static let canonical = DecompositionTable { $0.decomposedStringWithCanonicalMapping }
    static let compatibility = DecompositionTable { $0.decomposedStringWithCompatibilityMapping }

    /// Where scalars with decompositions lie (Hangul syllables apart); ideographs and private use have none.
    private static let blocks: [ClosedRange<UInt32>] = [
        0xA0...0x33FF, 0xA000...0xABFF, 0xF900...0xFFFF, 0x10000...0x16FFF, 0x1B000...0x1FFFF, 0x2F800...0x2FA1F,
    ]

    private(set) var mappings: [Unicode.Scalar: [Unicode.Scalar]] = [:]

    private init(_ decomposition: (String) -> String) {
        for value in Self.blocks.joined() {
            guard let scalar = Unicode.Scalar(value), scalar.isAssigned(byUnicode: 9) else { continue }
            let mapping = Array(decomposition(String(scalar)).unicodeScalars)
            if mapping != [scalar] { mappings[scalar] = mapping }
        }
    }

    func decompose(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        if scalar.value < 0xA0 { return [scalar] }
        return mappings[scalar] ?? Hangul.decompose(scalar) ?? [scalar]
    }
}

/// Puts decomposed text together again.
private enum Composition {
    private struct Pair: Hashable {
        let first: Unicode.Scalar
        let second: Unicode.Scalar
    }

    /// The primary composites. A composite's full decomposition is its first half's with one scalar more.
    private static let composites: [Pair: Unicode.Scalar] = {
        let mappings = DecompositionTable.canonical.mappings.filter { !$0.key.properties.isFullCompositionExclusion }
        var byDecomposition: [[Unicode.Scalar]: Unicode.Scalar] = [:]
        for (composite, mapping) in mappings { byDecomposition[mapping] = composite }
        var pairs: [Pair: Unicode.Scalar] = [:]
        for (composite, mapping) in mappings {
            let rest = Array(mapping.dropLast())
            guard let second = mapping.last, let first = rest.count == 1 ? rest[0] : byDecomposition[rest] else { continue }
            pairs[Pair(first: first, second: second)] = composite
        }
        return pairs
    }()

    static func compose(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var output: [Unicode.Scalar] = []
        output.reserveCapacity(scalars.count)
        var starter: Int?
        var lastClass: UInt8 = 0
        for scalar in scalars {
            let combiningClass = CanonicalOrder.combiningClass(scalar)
            if let starter, output.count - 1 == starter || lastClass < combiningClass,
                let composite = composite(output[starter], scalar)
            {
                output[starter] = composite
                continue
            }
            if combiningClass == 0 { starter = output.count }
            lastClass = combiningClass
            output.append(scalar)
        }
        return output
    }

    private static func composite(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        Hangul.compose(first.value, second.value) ?? composites[Pair(first: first, second: second)]
    }
}
