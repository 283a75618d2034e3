import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct TimeSeriesTests {
    /// Two variables that count up: value 10·step + variable.
    private func counting(_ length: Int) -> TimeSeries {
        TimeSeries(names: ["a", "b"], values: (0..<length).flatMap { [Float(10 * $0), Float(10 * $0 + 1)] })
    }

    @Test func windowsPredictEveryStepOfTheirPartAndLookOverItsStart() throws {
        let windows = try SeriesWindows(counting(20), part: 10..<16, lookback: 4, horizon: 2)
        #expect(windows.count == 5)
        #expect(Array(windows.input(0)) == [60, 61, 70, 71, 80, 81, 90, 91])
        #expect(Array(windows.target(0)) == [100, 101, 110, 111])
        #expect(Array(windows.target(4)) == [140, 141, 150, 151])
        let first = try SeriesWindows(counting(20), part: 0..<10, lookback: 4, horizon: 2)
        #expect(first.count == 5 && Array(first.input(0)).first == 0 && Array(first.target(0)).first == 40)
        #expect(throws: DataFormatError.self) { try SeriesWindows(counting(20), part: 10..<12, lookback: 4, horizon: 3) }
    }

    @Test func scalingUsesTheTrainingPartOnly() {
        let series = counting(100)
        let scaler = StandardScaler(series, over: 0..<10)
        #expect(scaler.mean == [45, 46])
        #expect(abs(scaler.deviation[0] - 28.722813232690143) < 1e-12)
        let scaled = series.scaled(by: scaler)
        let training = (0..<10).map { Double(scaled.values[2 * $0]) }
        #expect(abs(training.reduce(0, +)) < 1e-5)
        #expect(abs(training.reduce(0) { $0 + $1 * $1 } / 10 - 1) < 1e-5)
        let constant = TimeSeries(names: ["c"], values: [3, 3, 3])
        #expect(constant.scaled(by: StandardScaler(constant, over: 0..<3)).values == [0, 0, 0])
    }

    @Test func splitsByFractions() {
        let split = SeriesSplit.fractions(counting(7588))
        #expect(split == SeriesSplit(train: 0..<5311, validation: 5311..<6071, test: 6071..<7588))
    }

    @Test func missingValuesAndTextAreErrorsWithTheirLine() throws {
        let missing = try CSVTable(Array("date,x\n2020,1\n2021,\n".utf8), path: "s.csv")
        let error = #expect(throws: DataFormatError.self) { try TimeSeries(missing, dateColumn: "date") }
        #expect(error?.description == "s.csv, line 3: column 'x' has no finite value here")
        let text = try CSVTable(Array("date,x\n2020,a\n".utf8), path: "s.csv")
        #expect(throws: DataFormatError.self) { try TimeSeries(text, dateColumn: "date") }
        #expect(throws: DataFormatError.self) { try SeriesSplit.ettHourly(TimeSeries(names: ["x"], values: [1, 2])) }
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"))
    func theETTProtocolEqualsNumPy() throws {
        guard let folder = testData("ett") else { return print("theETTProtocolEqualsNumPy: skipped, ett is not here") }
        let series = try TimeSeries.ett(path: folder + "/ETTh1.csv")
        #expect(series.length == 17_420 && series.width == 7 && series.dates[1] == "2016-07-01 01:00:00")
        let split = try SeriesSplit.ettHourly(series)
        #expect(split == SeriesSplit(train: 0..<8640, validation: 8640..<11520, test: 11520..<14400))
        let scaled = series.scaled(by: StandardScaler(series, over: split.train))
        let windows = try SeriesWindows(scaled, part: split.test, lookback: 96, horizon: 96)
        #expect(windows.count == 2785)
        // The error of repeating the last value, over all windows, horizons and variables.
        var sum = 0.0
        for index in 0..<windows.count where index % 16 == 0 {
            let last = Array(windows.input(index).suffix(7))
            for (position, value) in windows.target(index).enumerated() { sum += pow(Double(value - last[position % 7]), 2) }
        }
        let script = """
            import numpy as np,sys
            x=np.loadtxt(sys.argv[1],delimiter=',',skiprows=1,usecols=range(1,8)).astype(np.float32).astype(float)
            x=(x-x[:8640].mean(0))/x[:8640].std(0)
            print(sum(((x[s:s+96]-x[s-1])**2).sum() for s in range(11520,14400-95,16)))
            """
        let expected = try #require(
            Double(PythonPeer.run(script, folder + "/ETTh1.csv").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(abs(sum / expected - 1) < 1e-5)
    }
}
