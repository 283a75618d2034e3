import Foundation

/// A chart of a report's curves: all methods' curves of one metric over one axis.
public struct ReportChart: Sendable, Encodable {
    /// One line: a method's mean over its seeds.
    public struct Series: Sendable, Encodable {
        public let name: String
        public let x: [Double]
        public let y: [Double]
    }

    public let metric: String
    public let axis: String
    public let series: [Series]

    public var title: String { "\(metric) by \(axis)" }

    /// One chart for each metric and axis, in the order of their first curves; a method's seeds are averaged where they share the axis.
    public static func charts(of curves: [Measurements.Curve]) -> [ReportChart] {
        let keys: [[String]] = curves.map { [$0.metric, $0.axis] }.uniqued()
        return keys.map { key in
            let chosen: [Measurements.Curve] = curves.filter { $0.metric == key[0] && $0.axis == key[1] }
            let series: [Series] = chosen.map(\.method).uniqued().map { method in mean(method, chosen.filter { $0.method == method }) }
            return ReportChart(metric: key[0], axis: key[1], series: series)
        }
    }

    /// The chart as an SVG element without a style or a script of its own. All text in it is escaped.
    public func svg() -> String {
        let lines: [LineChart.Series] = series.map { LineChart.Series(name: $0.name, points: zip($0.x, $0.y).map { (x: $0, y: $1) }) }
        return LineChart(title: title, xLabel: axis, yLabel: metric, series: lines).svg()
    }

    private static func mean(_ method: String, _ curves: [Measurements.Curve]) -> Series {
        let x: [Double] = curves.first?.x ?? []
        let alike: [Measurements.Curve] = curves.filter { $0.x == x }
        let y: [Double] = x.indices.map { index in alike.reduce(0) { $0 + $1.y[index] } / Double(alike.count) }
        return Series(name: method, x: x, y: y)
    }
}
