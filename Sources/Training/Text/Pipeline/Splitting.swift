/// A part of a text on its way through the pre-tokenizers.
struct TextPiece {
    /// Valid UTF-8.
    var text: ArraySlice<UInt8>
    /// Whether the piece begins where the whole text begins.
    var beginsText: Bool
}

/// What becomes of the matches when a text is split at them.
enum SplitBehavior: String {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"

    init(_ field: JSONField) throws {
        let name = try field.text()
        guard let behavior = SplitBehavior(rawValue: name) else { throw field.unsupported("behavior \(name)") }
        self = behavior
    }
}

/// A stretch of text that either matches or lies between matches.
private struct Segment {
    var range: Range<Int>
    var isMatch: Bool
}

extension TextPiece {
    /// The parts of the piece, none of them empty.
    func split(at matches: [Range<Int>], _ behavior: SplitBehavior, inverted: Bool = false) -> [TextPiece] {
        let segments = segments(of: matches, inverted: inverted)
        let ranges: [Range<Int>]
        switch behavior {
        case .removed: ranges = segments.filter { !$0.isMatch }.map(\.range)
        case .isolated: ranges = segments.map(\.range)
        case .contiguous: ranges = Self.joined(segments) { $0.isMatch == $1.isMatch }
        case .mergedWithPrevious: ranges = Self.joined(segments) { !$0.isMatch && $1.isMatch }
        case .mergedWithNext: ranges = Self.joined(segments) { $0.isMatch && !$1.isMatch }
        }
        return ranges.compactMap { range in
            range.isEmpty ? nil : TextPiece(text: text[range], beginsText: beginsText && range.lowerBound == text.startIndex)
        }
    }

    /// As ``split(at:_:inverted:)`` where every scalar of a class is a match by itself.
    func split(at kind: CharacterClass, _ behavior: SplitBehavior) -> [TextPiece] {
        split(at: matches { !CharacterClass.of($0).isDisjoint(with: kind) }, behavior)
    }

    /// The ranges of the scalars that satisfy a condition.
    func matches(where condition: (UInt32) -> Bool) -> [Range<Int>] {
        let base = text.startIndex
        return text.withUnsafeBufferPointer { buffer in
            var ranges: [Range<Int>] = []
            var index = 0
            while index < buffer.count {
                let (value, next) = UTF8Scalars.scalar(in: buffer, at: index)
                if condition(value) { ranges.append(base + index..<base + next) }
                index = next
            }
            return ranges
        }
    }

    private func segments(of matches: [Range<Int>], inverted: Bool) -> [Segment] {
        var segments: [Segment] = []
        segments.reserveCapacity(matches.count)
        var end = text.startIndex
        for match in matches {
            if end < match.lowerBound { segments.append(Segment(range: end..<match.lowerBound, isMatch: inverted)) }
            segments.append(Segment(range: match, isMatch: !inverted))
            end = match.upperBound
        }
        if end < text.endIndex { segments.append(Segment(range: end..<text.endIndex, isMatch: inverted)) }
        return segments
    }

    /// Joins neighbours where the condition holds for them.
    private static func joined(_ segments: [Segment], where condition: (Segment, Segment) -> Bool) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (index, segment) in segments.enumerated() {
            if index > 0, condition(segments[index - 1], segment) {
                ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<segment.range.upperBound
            } else {
                ranges.append(segment.range)
            }
        }
        return ranges
    }
}
