import Foundation
import TestSupport
import Testing

@testable import Serving

@Suite(.ownRandomNumbers) struct StopScannerTests {
    private func scan(_ pieces: [String], _ stops: [String]) -> (text: String, found: Bool) {
        var scanner: StopScanner = StopScanner(stops)
        var text: String = ""
        for piece in pieces {
            let (released, found): (String, Bool) = scanner.append(piece)
            text += released
            if found { return (text, true) }
        }
        return (text + scanner.finish(), false)
    }

    @Test func stopsAcrossPieces() {
        #expect(scan(["Hel", "lo\nUs", "er", ": hi"], ["\nUser:"]) == ("Hello", true))
        #expect(scan(["a", "b", "a", "b", "c"], ["abc"]) == ("ab", true))
        #expect(scan(["ab", "ab"], ["abc", ""]) == ("abab", false))
        #expect(scan(["x", "é", "y"], ["é"]) == ("x", true))
        #expect(scan(["abc"], []) == ("abc", false))
    }

    @Test func theEarliestStopEndsTheText() { #expect(scan(["one two three"], ["three", "two"]) == ("one ", true)) }

    @Test func textThatCannotBeAStopIsNotHeldBack() {
        var scanner: StopScanner = StopScanner(["\n\n"])
        #expect(scanner.append("line\n") == ("line", false))
        #expect(scanner.append("next") == ("\nnext", false))
    }

    /// However a text is cut, it ends where the stop string first stands in the whole.
    @Test func cutsMakeNoDifference() {
        var generator: SeededGenerator = SeededGenerator(seed: 3)
        for _ in 0..<300 {
            let text: String = String((0..<20).map { _ in "abé".randomElement(using: &generator)! })
            let stop: String = String((0..<Int.random(in: 1...4, using: &generator)).map { _ in "abé".randomElement(using: &generator)! })
            var pieces: [String] = [""]
            for character in text {
                if Bool.random(using: &generator) { pieces.append("") }
                pieces[pieces.count - 1].append(character)
            }
            let expected: String = text.range(of: stop).map { String(text[..<$0.lowerBound]) } ?? text
            #expect(scan(pieces, [stop]) == (expected, text.contains(stop)))
        }
    }
}
