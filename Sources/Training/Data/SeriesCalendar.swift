/// The dates of a series: what they say about the time of day and year, and how they go on.
public struct SeriesCalendar: Sendable, Equatable {
    /// The distance between neighbours, where it is the same everywhere.
    public enum Interval: Sendable, Equatable {
        case seconds(Int)
        case months(Int)
    }

    public let dates: [SeriesDate]
    /// Nil for an irregular series.
    public let interval: Interval?
    private let layout: Layout
    private let parts: [Part]

    /// Reads dates such as `2016-07-01 00:00:00`, `2016/7/1`, `2016-07-01T00:00` or `2016-07`: the year first, then from large to small.
    /// - Throws: `DataFormatError` with the row of a text that is no date.
    public init(_ texts: [String], path: String = "the series") throws(DataFormatError) {
        guard let first = texts.first else { throw DataFormatError(path: path, "has no dates") }
        var layout: Layout = Layout(of: first)
        var dates: [SeriesDate] = []
        dates.reserveCapacity(texts.count)
        for (row, text) in texts.enumerated() {
            guard let date = layout.read(text) else {
                throw DataFormatError(path: path, "row \(row + 1): '\(text)' is no date of the kind 2016-07-01 00:00:00")
            }
            dates.append(date)
        }
        self.dates = dates
        self.layout = layout
        interval = Self.interval(dates)
        parts = Self.parts(dates, interval)
    }

    /// Numbers that ``features(at:)`` gives.
    public var featureCount: Int { parts.count }

    /// The step's date; beyond the last, the date that a regular series would have there, else nil.
    public func date(at step: Int) -> SeriesDate? {
        precondition(step >= 0, "a date at step \(step)")
        if step < dates.count { return dates[step] }
        guard let last = dates.last else { return nil }
        let ahead: Int = step - dates.count + 1
        switch interval {
        case .seconds(let seconds): return SeriesDate(seconds: last.seconds + ahead * seconds)
        case .months(let months): return last.inMonth(last.months + ahead * months)
        case nil: return nil
        }
    }

    /// The date of a step, written as the series writes its own.
    public func text(at step: Int) -> String? { date(at: step).map(layout.write) }

    /// What a model is told about a step's date: from the hour (the minute, where those differ) to the day of the year, each scaled
    /// to −½ … ½; for monthly dates the month alone.
    public func features(at step: Int) -> [Float]? { date(at: step).map { date in parts.map { $0.value(date) } } }

    private static func interval(_ dates: [SeriesDate]) -> Interval? {
        guard dates.count > 1 else { return nil }
        let pairs = zip(dates, dates.dropFirst())
        // Months first: two quarters in a row may have the same number of days.
        let months: Int = dates[1].months - dates[0].months
        if months > 0, pairs.allSatisfy({ $1.months - $0.months == months && $0.inMonth($1.months) == $1 }) { return .months(months) }
        let seconds: Int = dates[1].seconds - dates[0].seconds
        return seconds > 0 && pairs.allSatisfy { $1.seconds - $0.seconds == seconds } ? .seconds(seconds) : nil
    }

    private static func parts(_ dates: [SeriesDate], _ interval: Interval?) -> [Part] {
        if case .months = interval { return [.month] }
        let days: [Part] = [.weekday, .day, .dayOfYear]
        if dates.contains(where: { $0.minute != 0 }) { return [.minute, .hour] + days }
        return dates.contains { $0.hour != 0 } ? [.hour] + days : days
    }

    private enum Part: Sendable {
        case minute, hour, weekday, day, dayOfYear, month

        func value(_ date: SeriesDate) -> Float {
            switch self {
            case .minute: Float(date.minute) / 59 - 0.5
            case .hour: Float(date.hour) / 23 - 0.5
            case .weekday: Float(date.weekday) / 6 - 0.5
            case .day: Float(date.day - 1) / 30 - 0.5
            case .dayOfYear: Float(date.dayOfYear - 1) / 365 - 0.5
            case .month: Float(date.month - 1) / 11 - 0.5
            }
        }
    }
}

/// How a column writes its dates: numbers with what stands between them.
private struct Layout: Sendable, Equatable {
    /// Before, between and after the numbers.
    private let separators: [String]
    /// Digits that each number has at least.
    private var widths: [Int]

    init(of text: String) {
        let (numbers, separators): ([Substring], [String]) = Self.split(text)
        self.separators = separators
        widths = numbers.map(\.count)
    }

    private static func split(_ text: String) -> (numbers: [Substring], separators: [String]) {
        var numbers: [Substring] = []
        var separators: [String] = [""]
        var rest: Substring = text[...]
        while let character = rest.first {
            let digits: Substring = rest.prefix { $0.isASCII && $0.isNumber }
            if digits.isEmpty {
                separators[separators.count - 1].append(character)
                rest = rest.dropFirst()
            } else {
                numbers.append(digits)
                separators.append("")
                rest = rest.dropFirst(digits.count)
            }
        }
        return (numbers, separators)
    }

    /// The date of a text with the same separators; a number that is shorter here says that the column does not pad it.
    mutating func read(_ text: String) -> SeriesDate? {
        let (numbers, found): ([Substring], [String]) = Self.split(text)
        let values: [Int] = numbers.compactMap { Int($0) }
        guard found == separators, (2...6).contains(values.count), values.count == numbers.count, numbers[0].count == 4 else { return nil }
        for (index, number) in numbers.enumerated() { widths[index] = min(widths[index], number.count) }
        let missing: [Int] = [1, 1, 1, 0, 0, 0]
        let full: [Int] = values + missing.dropFirst(values.count)
        return SeriesDate(year: full[0], month: full[1], day: full[2], hour: full[3], minute: full[4], second: full[5])
    }

    func write(_ date: SeriesDate) -> String {
        let values: [Int] = [date.year, date.month, date.day, date.hour, date.minute, date.second]
        var text: String = separators[0]
        for index in widths.indices {
            // A column whose months have one digit does not pad its days either, whether or not it shows a short one.
            let width: Int = index == 2 ? min(widths[1], widths[2]) : widths[index]
            let digits: String = String(values[index])
            text += String(repeating: "0", count: max(0, width - digits.count)) + digits + separators[index + 1]
        }
        return text
    }
}
