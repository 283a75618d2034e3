/// Shows how far a loop is: percentage, speed, time spent and left, and the last metrics.
///
/// `advance` costs one reading of the clock; the metrics are computed only when the line is drawn, at most ten times a second
/// (JSON: every five seconds), so that reading a loss from a GPU does not hold up every step.
///
///     let progress = ProgressBar("training", total: steps, unit: "tokens")
///     for ... { ...; progress.advance(by: tokens, metrics: [("loss", loss.item())]) }
///     progress.finish()
///
/// Nothing of the terminal's state is changed, so an interrupted program leaves it usable; `interrupt` or `finish`
/// ends the line. Not for use from several threads.
public final class ProgressBar {
    private let label: String
    private let total: Int?
    private let unit: String
    private let style: ProgressStyle
    private let output: ProgressOutput
    private let startStep: Int
    private let startTime: Double

    private var step: Int
    private var items = 0
    private var speed: SpeedMeter
    private var nextDraw: Double
    private var lastMetrics = [(String, Double)]()
    private var drawnWidth = 0
    private var ended = false

    /// - Parameters:
    ///   - label: what goes on, at the start of the line.
    ///   - total: the number of steps, or nil if it is not known.
    ///   - start: the steps done before, when a run is resumed; they do not count into the speed.
    ///   - unit: what `advance(by:)` counts, for example "tokens"; nil shows steps a second.
    ///   - style: bar, JSON lines or nothing.
    ///   - output: where it is written.
    public init(
        _ label: String, total: Int?, start: Int = 0, unit: String? = nil, style: ProgressStyle = .automatic(),
        output: ProgressOutput = .standardError()
    ) {
        self.label = label
        self.total = total
        self.unit = unit ?? "steps"
        self.style = style
        self.output = output
        startStep = start
        step = start
        startTime = output.now()
        speed = SpeedMeter(start: startTime)
        nextDraw = startTime
    }

    /// Marks one step of `count` items as done.
    public func advance(by count: Int = 1, metrics: @autoclosure () -> [(String, Double)] = []) {
        step += 1
        items += count
        guard style != .quiet else { return }
        let now = output.now()
        guard now >= nextDraw else { return }
        nextDraw = now + (style == .bar ? 0.1 : 5)
        let current = metrics()
        if !current.isEmpty { lastMetrics = current }
        speed.note(steps: step - startStep, items: items, at: now)
        draw(at: now, status: "running")
    }

    /// Writes a line of text above the bar.
    public func message(_ text: String) {
        guard style == .bar && !ended else { return output.write(text + "\n") }
        output.write(erase() + text + "\n")
        drawnWidth = 0
        draw(at: output.now(), status: "running")
    }

    /// Draws the last state, with these metrics if any, and ends the line.
    public func finish(metrics: [(String, Double)] = []) { end("finished", metrics) }

    /// Ends the line of a loop that stops early.
    public func interrupt() { end("interrupted", []) }

    private func end(_ status: String, _ metrics: [(String, Double)]) {
        guard !ended && style != .quiet else { return }
        ended = true
        if !metrics.isEmpty { lastMetrics = metrics }
        let now = output.now()
        speed.note(steps: step - startStep, items: items, at: now)
        draw(at: now, status: status)
        if style == .bar { output.write("\n") }
    }

    private func draw(at now: Double, status: String) {
        if style == .jsonLines { return output.write(json(at: now, status: status)) }
        // One column stays free: a terminal wraps when the last one is written.
        let line = DisplayWidth.prefix(text(at: now, columns: output.columns() - 1), columns: output.columns() - 1)
        output.write(erase() + line)
        drawnWidth = DisplayWidth.of(line)
    }

    /// Goes back to the start of the line drawn before and clears it; a window made narrower since has wrapped it onto several.
    private func erase() -> String {
        let wrapped = drawnWidth > 0 ? (drawnWidth - 1) / max(1, output.columns()) : 0
        return (wrapped > 0 ? "\u{1B}[\(wrapped)A" : "") + "\r\u{1B}[J"
    }

    private func secondsLeft() -> Double? {
        guard let total, speed.stepsPerSecond > 0 else { return nil }
        return Double(max(0, total - step)) / speed.stepsPerSecond
    }

    private func text(at now: Double, columns: Int) -> String {
        let elapsed = ProgressText.duration(now - startTime)
        let left = secondsLeft().map { "<" + ProgressText.duration($0) } ?? ""
        let count = total.map { "\(step)/\($0)" } ?? "\(step)"
        var tail = "\(count)  \(ProgressText.rate(speed.itemsPerSecond)) \(unit)/s  \(elapsed)\(left)"
        for (name, value) in lastMetrics { tail += "  \(name) \(ProgressText.metric(value))" }
        guard let total else { return "\(label)  \(tail)" }
        let fraction = total > 0 ? min(1, Double(step) / Double(total)) : 1
        let head = "\(label) \(DisplayWidth.pad("\(Int(fraction * 100))%", to: 4, right: true)) "
        let room = min(30, columns - DisplayWidth.of(head) - DisplayWidth.of(tail) - 2)
        guard room >= 5 else { return head + " " + tail }
        let filled = Int(fraction * Double(room))
        return head + String(repeating: "█", count: filled) + String(repeating: "░", count: room - filled) + "  " + tail
    }

    private func json(at now: Double, status: String) -> String {
        var fields = ["\"label\":\(JSONText.string(label))", "\"status\":\"\(status)\"", "\"step\":\(step)"]
        if let total { fields.append("\"total\":\(total)") }
        fields.append("\"elapsed\":\(JSONText.number(now - startTime))")
        fields.append("\(JSONText.string(unit + "_per_second")):\(JSONText.number(speed.itemsPerSecond))")
        if let left = secondsLeft() { fields.append("\"left\":\(JSONText.number(left))") }
        let metrics = lastMetrics.map { "\(JSONText.string($0.0)):\(JSONText.number($0.1))" }
        fields.append("\"metrics\":{\(metrics.joined(separator: ","))}")
        return "{\(fields.joined(separator: ","))}\n"
    }
}

/// Speed over the last ten seconds or so, so that a slow start is forgotten.
private struct SpeedMeter {
    private var marks: [(time: Double, steps: Int, items: Int)]
    private(set) var stepsPerSecond = 0.0
    private(set) var itemsPerSecond = 0.0

    init(start: Double) { marks = [(start, 0, 0)] }

    mutating func note(steps: Int, items: Int, at now: Double) {
        while marks.count > 1 && marks[1].time <= now - 10 { marks.removeFirst() }
        let oldest = marks[0]
        if now > oldest.time {
            stepsPerSecond = Double(steps - oldest.steps) / (now - oldest.time)
            itemsPerSecond = Double(items - oldest.items) / (now - oldest.time)
        }
        if now - marks[marks.count - 1].time >= 0.5 { marks.append((now, steps, items)) }
    }
}
