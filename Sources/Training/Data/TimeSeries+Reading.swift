extension TimeSeries {
    /// Reads a CSV file, which may be gzip's, with or without a header. A first column that is not numeric holds the dates; every other
    /// column is a variable.
    /// - Throws: `FileError`, or `DataFormatError` with the line of a value that is missing or no number.
    public static func read(path: String) throws -> TimeSeries {
        let bytes: [UInt8] = try Gzip.readFile(path)
        let table: CSVTable = try CSVTable(bytes, path: path, format: CSVFormat(hasHeader: firstLineNamesColumns(bytes)))
        let isDated: Bool = table.columns.count > 1 && table.columns[0].kind != .numeric
        return try TimeSeries(table, dateColumn: isDated ? table.names[0] : nil)
    }

    /// Whether a field behind the first (or the only one) of the first line is neither a number nor missing.
    private static func firstLineNamesColumns(_ bytes: [UInt8]) -> Bool {
        let line: String = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        let fields: [String] = line.split(separator: ",", omittingEmptySubsequences: false)
            .map { $0.trimmingPrefix("\u{FEFF}").filter { !$0.isWhitespace && $0 != "\"" } }
        let judged: ArraySlice<String> = fields.count > 1 ? fields.dropFirst() : fields[...]
        return judged.contains { Double($0) == nil && !CSVFormat.csv.missing.contains($0) }
    }

    /// The named variables in that order. A name that the series does not have throws.
    public func selecting(_ wanted: [String], path: String) throws(DataFormatError) -> TimeSeries {
        if wanted == names { return self }
        var columns: [Int] = []
        for name in wanted {
            guard let column = names.firstIndex(of: name) else {
                throw DataFormatError(
                    path: path, "there is no column '\(name)', which the model needs; the columns are \(names.joined(separator: ", "))")
            }
            columns.append(column)
        }
        let chosen: [Float] = (0..<length).flatMap { step in columns.map { values[step * width + $0] } }
        return TimeSeries(names: wanted, dates: dates, values: chosen)
    }
}
