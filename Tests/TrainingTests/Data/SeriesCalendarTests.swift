import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct SeriesCalendarTests {
    @Test func datesGoBackAndForth() throws {
        // Leap days, ends of centuries and of eras; Foundation's Gregorian calendar is the reference.
        var calendar: Calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "GMT"))
        var generator: SeededGenerator = SeededGenerator(seed: 5)
        let drawn: [Int] = (0..<200).map { _ in Int.random(in: -2_000_000_000...7_000_000_000, using: &generator) }
        for seconds in drawn + [0, -1, 951_782_400, 951_868_799, 951_868_800, 4_107_542_400] {
            let date: SeriesDate = SeriesDate(seconds: seconds)
            #expect(date.seconds == seconds)
            let expected: DateComponents = calendar.dateComponents(
                [.year, .month, .day, .hour, .minute, .second, .weekday], from: Date(timeIntervalSince1970: Double(seconds)))
            let parts: [Int?] = [expected.year, expected.month, expected.day, expected.hour, expected.minute, expected.second]
            #expect([date.year, date.month, date.day, date.hour, date.minute, date.second] == parts)
            // Foundation counts from 1 for Sunday.
            #expect((date.weekday + 1) % 7 + 1 == expected.weekday)
            #expect(date.dayOfYear == calendar.ordinality(of: .day, in: .year, for: Date(timeIntervalSince1970: Double(seconds))))
        }
        #expect(SeriesDate(year: 2023, month: 2, day: 29) == nil && SeriesDate(year: 2024, month: 2, day: 29) != nil)
        #expect(SeriesDate(year: 2024, month: 13) == nil && SeriesDate(year: 2024, month: 1, hour: 24) == nil)
    }

    @Test func regularDatesGoOnAsTheyAreWritten() throws {
        let hourly: SeriesCalendar = try SeriesCalendar(["2016-12-31 22:00:00", "2016-12-31 23:00:00"])
        #expect(hourly.interval == .seconds(3600))
        #expect(hourly.text(at: 2) == "2017-01-01 00:00:00" && hourly.text(at: 0) == "2016-12-31 22:00:00")
        let daily: SeriesCalendar = try SeriesCalendar(["2024/2/27", "2024/2/28", "2024/2/29"])
        #expect(daily.text(at: 3) == "2024/3/1" && daily.text(at: 40) == "2024/4/7")
        let monthly: SeriesCalendar = try SeriesCalendar(["2019-11", "2019-12", "2020-01"])
        #expect(monthly.interval == .months(1) && monthly.text(at: 4) == "2020-03" && monthly.featureCount == 1)
        let quarters: SeriesCalendar = try SeriesCalendar(["2019-07-01T00:00", "2019-10-01T00:00", "2020-01-01T00:00"])
        #expect(quarters.interval == .months(3) && quarters.text(at: 3) == "2020-04-01T00:00")
        let gaps: SeriesCalendar = try SeriesCalendar(["2020-01-01", "2020-01-02", "2020-01-04"])
        #expect(gaps.interval == nil && gaps.text(at: 3) == nil && gaps.text(at: 2) == "2020-01-04")
    }

    @Test func featuresLieBetweenMinusAndPlusAHalf() throws {
        let calendar: SeriesCalendar = try SeriesCalendar(["2016-12-31 22:00:00", "2016-12-31 23:00:00"])
        // Saturday is 5 of 6; 2016 has 366 days.
        #expect(calendar.features(at: 1) == [0.5, Float(5) / 6 - 0.5, 0.5, 0.5])
        #expect(calendar.features(at: 2) == [-0.5, 0.5, -0.5, -0.5])
        #expect(try SeriesCalendar(["2020-01-01 00:15", "2020-01-01 00:30"]).featureCount == 5)
        #expect(try SeriesCalendar(["2020-01-01", "2020-01-02"]).featureCount == 3)
    }

    @Test func whatIsNoDateIsAnErrorWithItsRow() {
        for texts in [["2020-01-01", "soon"], ["2020-01-01", "2020-02-30"], ["2020-01-01", "2020/01/02"], ["2020-01-01", "20-01-02"]] {
            let error: DataFormatError? = #expect(throws: DataFormatError.self) { try SeriesCalendar(texts, path: "s.csv") }
            #expect(error?.description.contains("row 2: '\(texts[1])' is no date") == true)
        }
        #expect(throws: DataFormatError.self) { try SeriesCalendar([]) }
    }

    private func read(_ text: String) throws -> TimeSeries {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("s.csv")
            try Data(text.utf8).write(to: file)
            return try TimeSeries.read(path: file.path)
        }
    }

    @Test func filesAreReadWithAndWithoutHeaderAndDates() throws {
        let plain: TimeSeries = try read("1,2\n3,4\n")
        #expect(plain.names == ["column1", "column2"] && plain.values == [1, 2, 3, 4] && plain.dates.isEmpty)
        let dated: TimeSeries = try read("2020-01-01,1\n2020-01-02,2\n")
        #expect(dated.names == ["column2"] && dated.dates == ["2020-01-01", "2020-01-02"])
        let named: TimeSeries = try read("\u{FEFF}date,a,\"b\"\r\n2020-01-01,1,2\r\n2020-01-02,3,4\r\n")
        #expect(named.names == ["a", "b"] && named.values == [1, 2, 3, 4])
        #expect(try read("x\n1\n2\n").names == ["x"])
        #expect(try read("1\n2\n").values == [1, 2])
        #expect(throws: DataFormatError.self) { try read("date,a\n2020-01-01,1\n2020-01-02,\n") }
    }

    @Test func variablesAreFoundByName() throws {
        let series: TimeSeries = TimeSeries(names: ["a", "b", "c"], values: [1, 2, 3, 4, 5, 6])
        let chosen: TimeSeries = try series.selecting(["c", "a"], path: "s.csv")
        #expect(chosen.names == ["c", "a"] && chosen.values == [3, 1, 6, 4])
        let error: DataFormatError? = #expect(throws: DataFormatError.self) { try series.selecting(["d"], path: "s.csv") }
        #expect(error?.description == "s.csv: there is no column 'd', which the model needs; the columns are a, b, c")
    }
}
