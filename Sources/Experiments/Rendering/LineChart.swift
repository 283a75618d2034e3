import Foundation

/// A line chart as SVG: one coloured line a series, axes with round ticks, a legend below. Colours follow the page's scheme.
struct LineChart {
    struct Series {
        let name: String
        let points: [(x: Double, y: Double)]
    }

    let title: String
    let xLabel: String
    let yLabel: String
    let series: [Series]

    private static let width: Double = 640
    private static let height: Double = 320
    private static let left: Double = 64
    private static let right: Double = 16
    private static let top: Double = 16
    private static let bottom: Double = 44

    /// Distinguishable also with the common forms of colour blindness (Okabe and Ito's palette).
    static let palette: [String] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6b6b", "#b8a500"]

    func svg() -> String {
        let points: [(x: Double, y: Double)] = series.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
        guard let x = Axis(points.map(\.x)), let y = Axis(points.map(\.y)) else { return "" }
        let legendRows: Int = (series.count + 2) / 3
        let total: Double = Self.height + Double(legendRows) * 20
        let parts: [String] =
            [
                #"<svg viewBox="0 0 \#(Int(Self.width)) \#(Int(total))" role="img" aria-label="\#(HTML.escaped(title))" class="chart">"#,
                "<title>\(HTML.escaped(title))</title>",
            ] + grid(x, y) + series.enumerated().map { line($1, color: Self.color($0), x, y) } + legend() + ["</svg>"]
        return parts.joined(separator: "\n")
    }

    private static func color(_ index: Int) -> String { palette[index % palette.count] }

    private func horizontal(_ value: Double, _ axis: Axis) -> Double {
        Self.left + axis.fraction(value) * (Self.width - Self.left - Self.right)
    }

    private func vertical(_ value: Double, _ axis: Axis) -> Double {
        Self.height - Self.bottom - axis.fraction(value) * (Self.height - Self.top - Self.bottom)
    }

    private func grid(_ x: Axis, _ y: Axis) -> [String] {
        let base: Double = Self.height - Self.bottom
        let vertical: [String] = y.ticks.map { tick in
            let place: String = Self.text(self.vertical(tick, y))
            return
                #"<line class="grid" x1="\#(Self.text(Self.left))" x2="\#(Self.text(Self.width - Self.right))" y1="\#(place)" y2="\#(place)"/>"#
                + #"<text x="\#(Self.text(Self.left - 8))" y="\#(place)" dy="4" text-anchor="end">\#(y.label(tick))</text>"#
        }
        let horizontal: [String] = x.ticks.map { tick in
            #"<text x="\#(Self.text(self.horizontal(tick, x)))" y="\#(Self.text(base + 16))" text-anchor="middle">\#(x.label(tick))</text>"#
        }
        let labels: [String] = [
            #"<text x="\#(Self.text(Self.width / 2))" y="\#(Self.text(base + 36))" text-anchor="middle">\#(HTML.escaped(xLabel))</text>"#,
            #"<text transform="translate(14 \#(Self.text(Self.height / 2))) rotate(-90)" text-anchor="middle">\#(HTML.escaped(yLabel))</text>"#,
        ]
        return vertical + horizontal + labels
    }

    private func line(_ series: Series, color: String, _ x: Axis, _ y: Axis) -> String {
        let points: String = series.points.filter { $0.x.isFinite && $0.y.isFinite }
            .map { "\(Self.text(horizontal($0.x, x))),\(Self.text(vertical($0.y, y)))" }.joined(separator: " ")
        return #"<polyline fill="none" stroke="\#(color)" stroke-width="2" points="\#(points)"/>"#
    }

    private func legend() -> [String] {
        series.enumerated().map { index, entry in
            let x: Double = Self.left + Double(index % 3) * 190
            let y: Double = Self.height + Double(index / 3) * 20 + 6
            return #"<rect x="\#(Self.text(x))" y="\#(Self.text(y - 9))" width="12" height="12" fill="\#(Self.color(index))"/>"#
                + #"<text x="\#(Self.text(x + 18))" y="\#(Self.text(y + 1))">\#(HTML.escaped(entry.name))</text>"#
        }
    }

    private static func text(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// A linear axis that ends on round ticks.
struct Axis {
    let low: Double
    let high: Double
    let step: Double

    /// Nil without a finite value.
    init?(_ values: [Double]) {
        guard let least = values.min(), let most = values.max() else { return nil }
        let span: Double = most > least ? most - least : max(abs(most), 1)
        let rough: Double = span / 5
        let magnitude: Double = pow(10, floor(log10(rough)))
        step = magnitude * ([1, 2, 5].first { $0 * magnitude >= rough } ?? 10)
        low = floor(least / step) * step
        high = max(ceil(most / step) * step, low + step)
    }

    func fraction(_ value: Double) -> Double { (value - low) / (high - low) }

    var ticks: [Double] { stride(from: low, through: high + step / 2, by: step).map { $0 } }

    func label(_ value: Double) -> String {
        let digits: Int = max(0, Int(ceil(-log10(step) - 1e-9)))
        return String(format: "%.\(min(digits, 9))f", abs(value) < step / 1000 ? 0 : value)
    }
}
