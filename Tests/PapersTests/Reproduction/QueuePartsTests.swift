import Foundation
import Testing

@testable import Papers

@Suite struct QueuePartsTests {
    private func lines(_ chunks: [String], limit: Int = 100) -> [String] {
        var splitter: LineSplitter = LineSplitter(limit: limit)
        return chunks.flatMap { chunk in
            Array(chunk.utf8).withUnsafeBytes { splitter.append($0) }.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    @Test func linesAreCutWhereverTheBytesAre() {
        #expect(lines(["a", "b\nc\n", "", "\n", "d"]) == ["ab", "c", ""])
        #expect(lines(["one\ntwo\nthr", "ee\n"]) == ["one", "two", "three"])
    }

    @Test func aLineThatIsTooLongIsDropped() {
        #expect(lines(["1234567890", "1\nok\n"], limit: 10) == ["ok"])
        #expect(lines(["1234567890\nok\n"], limit: 10) == ["1234567890", "ok"])
    }

    @Test func messagesAreWrittenAsTheyAreRead() {
        for message: WorkerMessage in [
            .started(seedsDone: 1), .progress(line: "a \"b\"\n/ü", seedsDone: 2), .report(path: "/r"), .error(message: ""),
        ] {
            let line: Data = message.line()
            #expect(line.last == 0x0A && line.dropLast().allSatisfy { $0 != 0x0A })
            #expect(WorkerMessage(line: line) == message)
        }
    }

    @Test func textFromAProcessCannotSpoilADisplay() {
        #expect(WorkerMessage.displayable(" a\tb\nc\u{1B}[2J\u{0} ") == "a b c[2J")
        #expect(WorkerMessage.displayable(String(repeating: "x", count: 5000)).count == 300)
    }

    @Test func theTimeLeftFollowsFromTheSeedsThatAreDone() {
        func at(_ seconds: Double) -> Date { Date(timeIntervalSince1970: seconds) }
        var left: TimeLeft = TimeLeft(seeds: 4, earlierSecondsPerSeed: nil, at: at(0))
        #expect(left.seconds(at: at(5)) == nil)
        left.note(seedsDone: 1, at: at(10))
        #expect(left.seconds(at: at(10)) == 30 && left.seconds(at: at(14)) == 26)
        left.note(seedsDone: 1, at: at(15))
        #expect(left.seconds(at: at(15)) == 25)
        left.note(seedsDone: 2, at: at(40))
        #expect(left.seconds(at: at(40)) == 40)
        // Longer than was thought.
        #expect(left.seconds(at: at(90)) == nil)
    }

    @Test func earlierRunsTellTheTimeLeftUntilASeedIsDone() {
        func at(_ seconds: Double) -> Date { Date(timeIntervalSince1970: seconds) }
        var left: TimeLeft = TimeLeft(seeds: 3, earlierSecondsPerSeed: 7, at: at(0))
        #expect(left.seconds(at: at(0)) == 21)
        // Two seeds were there already, and took none of this run's time.
        left.resume(seedsDone: 2, at: at(1))
        #expect(left.seconds(at: at(1)) == 7)
        left.note(seedsDone: 3, at: at(5))
        #expect(left.seconds(at: at(5)) == nil)
    }
}
