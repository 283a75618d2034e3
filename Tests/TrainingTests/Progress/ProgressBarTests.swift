import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct ProgressBarTests {
    /// A terminal whose clock and width the test sets, and which keeps what was written.
    private final class Screen {
        var time = 100.0
        var width = 100
        var written = [String]()
        var output: ProgressOutput { ProgressOutput(write: { self.written.append($0) }, columns: { self.width }, now: { self.time }) }
    }

    @Test func drawsSpeedTimeLeftAndMetrics() {
        let screen = Screen()
        let bar = ProgressBar("train", total: 200, unit: "tokens", style: .bar, output: screen.output)
        for step in 0..<50 {
            screen.time += 1
            bar.advance(by: 1500, metrics: [("loss", 2.5 / Double(step + 1))])
        }
        #expect(screen.written.count == 50)
        #expect(
            screen.written.last == "\r\u{1B}[Jtrain  25% " + "███████" + String(repeating: "░", count: 23)
                + "  50/200  1.50k tokens/s  0:50<2:30  loss 0.05")
        bar.finish(metrics: [("loss", 0.01)])
        #expect(screen.written.last == "\n")
        bar.finish()
        #expect(screen.written.count == 52)
    }

    @Test func drawsAtMostTenTimesASecondAndAsksForMetricsOnlyThen() {
        let screen = Screen()
        let bar = ProgressBar("x", total: nil, style: .bar, output: screen.output)
        var asked = 0
        func metrics() -> [(String, Double)] {
            asked += 1
            return []
        }
        for _ in 0..<1000 {
            screen.time += 0.001
            bar.advance(metrics: metrics())
        }
        #expect((9...11).contains(screen.written.count) && asked == screen.written.count)
    }

    @Test(arguments: [10, 25, 40, 60, 200]) func neverFillsTheLastColumn(width: Int) {
        let screen = Screen()
        screen.width = width
        let bar = ProgressBar("学習 🚂", total: 10, style: .bar, output: screen.output)
        for _ in 0..<10 {
            screen.time += 1
            bar.advance(metrics: [("perplexité", 1e9)])
        }
        for line in screen.written { #expect(DisplayWidth.of(String(line.dropFirst(4))) < width) }
    }

    @Test func aNarrowerWindowIsClearedWhole() {
        let screen = Screen()
        let bar = ProgressBar("a label", total: 10, style: .bar, output: screen.output)
        bar.advance()
        screen.width = 20
        screen.time += 1
        bar.advance()
        #expect(screen.written.last?.hasPrefix("\u{1B}[3A\r\u{1B}[J") == true)
    }

    @Test func aResumedRunCountsOnlyItsOwnSteps() {
        let screen = Screen()
        let bar = ProgressBar("r", total: 1000, start: 900, style: .bar, output: screen.output)
        for _ in 0..<10 {
            screen.time += 1
            bar.advance()
        }
        #expect(screen.written.last?.contains("910/1000  1.00 steps/s  0:10<1:30") == true)
    }

    @Test func messagesGoAboveAndAnInterruptEndsTheLine() {
        let screen = Screen()
        let bar = ProgressBar("m", total: 2, style: .bar, output: screen.output)
        bar.advance()
        bar.message("checkpoint written")
        #expect(screen.written[1] == "\r\u{1B}[Jcheckpoint written\n" && screen.written.count == 3)
        bar.interrupt()
        #expect(screen.written.last == "\n")
    }

    @Test func jsonLinesAreParsableAndRare() throws {
        let screen = Screen()
        let bar = ProgressBar("a \"b\"", total: 100, unit: "items", style: .jsonLines, output: screen.output)
        for _ in 0..<100 {
            screen.time += 0.1
            bar.advance(by: 2, metrics: [("loss", .nan), ("accuracy", 0.5)])
        }
        bar.finish()
        #expect(screen.written.count == 3)
        let last = try #require(JSONSerialization.jsonObject(with: Data(screen.written.last!.utf8)) as? [String: Any])
        #expect(last["label"] as? String == "a \"b\"" && last["status"] as? String == "finished" && last["step"] as? Int == 100)
        #expect(abs((last["items_per_second"] as? Double ?? 0) - 20) < 1e-6)
        #expect((last["metrics"] as? [String: Any])?["accuracy"] as? Double == 0.5)
        #expect((last["metrics"] as? [String: Any])?["loss"] is NSNull)
    }

    @Test func quietWritesNothing() {
        let screen = Screen()
        let bar = ProgressBar("q", total: 1, style: .quiet, output: screen.output)
        bar.advance()
        bar.finish()
        #expect(screen.written.isEmpty)
    }

    @Test func widthsAndNumbers() {
        #expect(DisplayWidth.of("abc") == 3 && DisplayWidth.of("学習") == 4 && DisplayWidth.of("e\u{301}") == 1)
        #expect(DisplayWidth.of("👩‍👩‍👧") == 2 && DisplayWidth.of("\u{200B}\t") == 0)
        #expect(DisplayWidth.prefix("a学習", columns: 4) == "a学")
        #expect(
            [0, 59.9, 3599, 3600, 1e6, .infinity].map(ProgressText.duration) == ["0:00", "0:59", "59:59", "1:00:00", "11d 13h", "-:--"])
        #expect(
            [0.5, 9.994, 99.94, 999, 999.6, 1_234_567, 5e10].map(ProgressText.rate) == [
                "0.50", "9.99", "99.9", "999", "1.00k", "1.23M", "50.0G",
            ])
    }
}
