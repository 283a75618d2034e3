/// A civil date and time of day, without a time zone.
public struct SeriesDate: Sendable, Hashable {
    public let year: Int
    /// 1 to 12.
    public let month: Int
    /// 1 to 31.
    public let day: Int
    public let hour: Int
    public let minute: Int
    public let second: Int

    /// Nil for a date that does not exist.
    public init?(year: Int, month: Int, day: Int = 1, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        guard (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day) else { return nil }
        guard (0..<24).contains(hour), (0..<60).contains(minute), (0..<60).contains(second) else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
    }

    /// The date so many seconds after the beginning of 1970.
    public init(seconds: Int) {
        let days: Int = Self.floorDivided(seconds, 86_400)
        let rest: Int = seconds - days * 86_400
        (year, month, day) = Self.civil(days)
        (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
    }

    /// Seconds since the beginning of 1970.
    public var seconds: Int { ((Self.days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second }

    /// 0 for Monday to 6 for Sunday.
    public var weekday: Int {
        // 1970 began on a Thursday.
        let shifted: Int = Self.days(year, month, day) + 3
        return shifted - 7 * Self.floorDivided(shifted, 7)
    }

    /// 1 for the first of January.
    public var dayOfYear: Int { Self.days(year, month, day) - Self.days(year, 1, 1) + 1 }

    /// Months since the beginning of year 0.
    var months: Int { year * 12 + month - 1 }

    /// The same day and time in another month; nil where that has no such day.
    func inMonth(_ months: Int) -> SeriesDate? {
        let year: Int = Self.floorDivided(months, 12)
        return SeriesDate(year: year, month: months - 12 * year + 1, day: day, hour: hour, minute: minute, second: second)
    }

    private static func days(in month: Int, of year: Int) -> Int {
        let leap: Bool = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    /// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is a year's last.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted: Int = month <= 2 ? year - 1 : year
        let era: Int = floorDivided(shifted, 400)
        let yearOfEra: Int = shifted - era * 400
        let dayOfYear: Int = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted: Int = days + 719_468
        let era: Int = floorDivided(shifted, 146_097)
        let dayOfEra: Int = shifted - era * 146_097
        let yearOfEra: Int = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear: Int = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch: Int = (5 * dayOfYear + 2) / 153
        let month: Int = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * fromMarch + 2) / 5 + 1)
    }

    private static func floorDivided(_ value: Int, _ divisor: Int) -> Int {
        value >= 0 ? value / divisor : (value - divisor + 1) / divisor
    }
}
