import Torch
import Training

/// A series as forecasters read it: as it was measured, standardised, and with what its dates say.
public struct ForecastSeries: Sendable {
    /// In the units of its file.
    public let series: TimeSeries
    public let scaler: StandardScaler
    /// Each variable with mean 0 and deviation 1 over the scaler's part.
    public let scaled: TimeSeries
    /// Nil where the series has no dates.
    public let calendar: SeriesCalendar?
    /// `[T, F]` in row-major order.
    private let features: [Float]

    /// - Throws: `DataFormatError` for a date column that does not hold dates.
    public init(_ series: TimeSeries, scaler: StandardScaler, path: String = "the series") throws(DataFormatError) {
        self.series = series
        self.scaler = scaler
        scaled = series.scaled(by: scaler)
        guard !series.dates.isEmpty else {
            (calendar, features) = (nil, [])
            return
        }
        let calendar: SeriesCalendar = try SeriesCalendar(series.dates, path: path)
        self.calendar = calendar
        features = (0..<series.length).flatMap { calendar.features(at: $0) ?? [] }
    }

    /// Numbers that a step's date gives, F.
    public var featureCount: Int { calendar?.featureCount ?? 0 }

    /// A step's name in text: its date, or its number where it has none.
    public func label(of step: Int) -> String { calendar?.text(at: step) ?? "step \(step)" }

    /// The calendar features of `count` steps from `start`.
    func features(from start: Int, count: Int) -> ArraySlice<Float> { features[start * featureCount..<(start + count) * featureCount] }

    /// The last `lookback` steps, from which a forecast goes on beyond the series.
    /// - Throws: `DataFormatError` for a series that is shorter.
    public func lastWindow(lookback: Int, path: String, device: Device = .default) throws(DataFormatError) -> ForecastInput {
        let start: Int = series.length - lookback
        guard start >= 0 else {
            throw DataFormatError(path: path, "has \(series.length) rows; the model looks back over \(lookback)")
        }
        let calendar: Tensor? =
            featureCount == 0
            ? nil : Tensor(Array(features(from: start, count: lookback)), [1, lookback, featureCount], device: device)
        let values: [Float] = Array(scaled.values.suffix(lookback * series.width))
        return ForecastInput(values: Tensor(values, [1, lookback, series.width], device: device), calendar: calendar, starts: [start])
    }

    /// Standardised values `[B, S, N]` in the series' own units.
    public func restored(_ values: Tensor) -> Tensor { values * row(scaler.deviation, like: values) + row(scaler.mean, like: values) }

    private func row(_ numbers: [Double], like values: Tensor) -> Tensor {
        Tensor(numbers, [1, 1, numbers.count], dtype: values.dtype, device: values.device)
    }
}

/// How a series is divided into what is trained, validated and tested on.
public enum ForecastSplit: String, Codable, Sendable, CaseIterable {
    /// 12, 4 and 4 months of 30 days of hourly data; what is left over is not used.
    case ett
    /// The first seven tenths, one tenth and the last two tenths.
    case fractions
}

/// The protocol of long-horizon forecasting: three consecutive parts, standardised by the statistics of the first, and all windows of each.
///
/// The predicted steps of a window lie in its part; the look-back may reach into the part before. Errors are means over all windows,
/// steps and variables on the standardised scale, with the last batch as incomplete as it is (dropping it flatters some methods).
public struct ForecastProtocol: Sendable {
    public let data: ForecastSeries
    public let split: SeriesSplit

    /// - Throws: `DataFormatError` for a series that is too short for the split, or dates that are none.
    public init(_ series: TimeSeries, split: ForecastSplit, path: String = "the series") throws(DataFormatError) {
        switch split {
        case .ett: self.split = try SeriesSplit.ettHourly(series, path: path)
        case .fractions: self.split = SeriesSplit.fractions(series)
        }
        guard !self.split.train.isEmpty else { throw DataFormatError(path: path, "has \(series.length) rows; that is no training part") }
        data = try ForecastSeries(series, scaler: StandardScaler(series, over: self.split.train), path: path)
    }

    public enum Part: String, Sendable, CaseIterable { case train, validation, test }

    /// All windows of a part.
    /// - Throws: `DataFormatError` for a part that is too short for one.
    public func windows(_ part: Part, lookback: Int, horizon: Int) throws(DataFormatError) -> ForecastWindows {
        let range: Range<Int> =
            switch part {
            case .train: split.train
            case .validation: split.validation
            case .test: split.test
            }
        return ForecastWindows(data, try SeriesWindows(data.scaled, part: range, lookback: lookback, horizon: horizon))
    }
}
