/// A multivariate series: `length` steps of `width` variables.
public struct TimeSeries: Sendable, Equatable {
    /// The variables' names.
    public let names: [String]
    /// The date column's text for each step; empty where the file has none.
    public let dates: [String]
    /// The values, step by step: [T, C] in row-major order.
    public private(set) var values: [Float]

    public var width: Int { names.count }
    public var length: Int { width == 0 ? 0 : values.count / width }

    public init(names: [String], dates: [String] = [], values: [Float]) {
        precondition(!names.isEmpty && values.count % names.count == 0, "TimeSeries: \(values.count) values for \(names.count) variables")
        precondition(dates.isEmpty || dates.count == values.count / names.count, "TimeSeries: \(dates.count) dates")
        self.names = names
        self.dates = dates
        self.values = values
    }

    /// Takes every column but `dateColumn` of a table as a variable; a column that is not numeric, or a missing value, throws.
    public init(_ table: CSVTable, dateColumn: String? = nil) throws(DataFormatError) {
        var dates = [String]()
        if let dateColumn { dates = try TimeSeries.texts(table.column(dateColumn)) }
        let names = table.names.filter { $0 != dateColumn }
        guard !names.isEmpty else { throw DataFormatError(path: table.path, "the table has no column beside '\(dateColumn ?? "")'") }
        var values = [Float](repeating: 0, count: table.rowCount * names.count)
        for (index, name) in names.enumerated() {
            for (row, value) in try table.numbers(name).enumerated() {
                guard value.isFinite else {
                    throw DataFormatError(path: table.path, at: .line(table.rowLines[row]), "column '\(name)' has no finite value here")
                }
                values[row * names.count + index] = Float(value)
            }
        }
        self.init(names: names, dates: dates, values: values)
    }

    /// An ETT file (zhouhaoyi/ETDataset): a column "date" and seven variables.
    public static func ett(path: String) throws -> TimeSeries {
        try TimeSeries(CSVTable(path: path, kinds: ["date": .text]), dateColumn: "date")
    }

    private static func texts(_ column: CSVColumn) -> [String] {
        switch column {
        case .numeric(let values): values.map { String($0) }
        case .categorical(let codes, let levels): codes.map { $0 < 0 ? "" : levels[Int($0)] }
        case .text(let values): values.map { $0 ?? "" }
        }
    }

    /// The series with each variable shifted and scaled.
    public func scaled(by scaler: StandardScaler) -> TimeSeries {
        precondition(scaler.mean.count == width, "TimeSeries: a scaler of \(scaler.mean.count) variables for \(width)")
        var result = self
        for index in values.indices {
            let variable = index % width
            result.values[index] = Float((Double(values[index]) - scaler.mean[variable]) / scaler.deviation[variable])
        }
        return result
    }
}

/// Mean and standard deviation of each variable over the training part.
public struct StandardScaler: Codable, Sendable, Equatable {
    public let mean: [Double]
    /// The population's standard deviation (divided by the count); 1 for a variable that does not vary.
    public let deviation: [Double]

    /// Fits the steps of `range`, which must not be empty.
    public init(_ series: TimeSeries, over range: Range<Int>) {
        precondition(
            !range.isEmpty && range.upperBound <= series.length, "StandardScaler: no steps \(range) in a series of \(series.length)")
        let width = series.width
        var sums = [Double](repeating: 0, count: width)
        for step in range { for variable in 0..<width { sums[variable] += Double(series.values[step * width + variable]) } }
        let mean = sums.map { $0 / Double(range.count) }
        var squares = [Double](repeating: 0, count: width)
        for step in range {
            for variable in 0..<width {
                let difference = Double(series.values[step * width + variable]) - mean[variable]
                squares[variable] += difference * difference
            }
        }
        self.mean = mean
        deviation = squares.map { $0 > 0 ? ($0 / Double(range.count)).squareRoot() : 1 }
    }
}

/// The steps of the three parts of a series, one after the other.
public struct SeriesSplit: Sendable, Equatable {
    public let train: Range<Int>
    public let validation: Range<Int>
    public let test: Range<Int>

    /// The ETT protocol for hourly data: 12, 4 and 4 months of 30 days, 8640/2880/2880 steps. A shorter series throws.
    public static func ettHourly(_ series: TimeSeries, path: String = "the series") throws(DataFormatError) -> SeriesSplit {
        let month = 30 * 24
        guard series.length >= 20 * month else {
            throw DataFormatError(path: path, "has \(series.length) steps, the ETT split needs \(20 * month)")
        }
        return SeriesSplit(train: 0..<12 * month, validation: 12 * month..<16 * month, test: 16 * month..<20 * month)
    }

    /// The first `train` of the steps and the last `test` of them, both rounded down; validation takes what lies between.
    public static func fractions(_ series: TimeSeries, train: Double = 0.7, test: Double = 0.2) -> SeriesSplit {
        precondition(train > 0 && test >= 0 && train + test <= 1, "SeriesSplit: the fractions \(train) and \(test) are not parts of one")
        let trained = Int(Double(series.length) * train)
        let tested = Int(Double(series.length) * test)
        let border = series.length - tested
        return SeriesSplit(train: 0..<trained, validation: trained..<border, test: border..<series.length)
    }
}

/// All windows of a part of a series: `lookback` steps to see and the `horizon` steps after them to predict.
///
/// The predicted steps always lie in the part; the look-back may reach over the part's start into the one before it.
public struct SeriesWindows: Sendable {
    public let series: TimeSeries
    public let lookback: Int
    public let horizon: Int
    /// The first predicted step of the first window.
    private let firstTarget: Int
    public let count: Int

    /// A part too short for one window throws.
    public init(_ series: TimeSeries, part: Range<Int>, lookback: Int, horizon: Int) throws(DataFormatError) {
        precondition(lookback > 0 && horizon > 0 && part.lowerBound >= 0 && part.upperBound <= series.length, "SeriesWindows: wrong part")
        self.series = series
        self.lookback = lookback
        self.horizon = horizon
        firstTarget = max(part.lowerBound, lookback)
        count = part.upperBound - firstTarget - horizon + 1
        guard count > 0 else {
            throw DataFormatError(
                path: "the series",
                "its part of \(part.count) steps is too short for a look-back of \(lookback) and a horizon of \(horizon)")
        }
    }

    /// The steps that window `index` sees: [lookback, C].
    public func input(_ index: Int) -> ArraySlice<Float> { slice(from: start(index) - lookback, count: lookback) }

    /// The steps that window `index` predicts: [horizon, C].
    public func target(_ index: Int) -> ArraySlice<Float> { slice(from: start(index), count: horizon) }

    /// The step of the series that window `index` sees first.
    public func firstStep(_ index: Int) -> Int { start(index) - lookback }

    private func start(_ index: Int) -> Int {
        precondition(index >= 0 && index < count, "SeriesWindows: window \(index) of \(count)")
        return firstTarget + index
    }

    private func slice(from step: Int, count: Int) -> ArraySlice<Float> {
        series.values[step * series.width..<(step + count) * series.width]
    }
}
