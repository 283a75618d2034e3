import Torch

/// A column of a table.
public enum CSVColumn: Sendable, Equatable {
    /// Numbers; a missing value is NaN.
    case numeric([Double])
    /// For each row the index of its value in `levels` (sorted), or -1 for a missing value.
    case categorical(codes: [Int32], levels: [String])
    /// Free text; a missing value is nil.
    case text([String?])

    /// What a column can be read as.
    public enum Kind: String, Sendable { case numeric, categorical, text }

    public var kind: Kind {
        switch self {
        case .numeric: .numeric
        case .categorical: .categorical
        case .text: .text
        }
    }
}

/// A table read from delimited text (RFC 4180 and its usual variants), column by column.
public struct CSVTable: Sendable {
    /// The columns' names, in the order of the file.
    public let names: [String]
    /// The columns, in the same order, each of `rowCount` values.
    public let columns: [CSVColumn]
    public let rowCount: Int
    /// The line of the file on which each row starts, counted from 1, for messages about a row.
    public let rowLines: [Int]
    /// Where the table was read from.
    public let path: String

    /// The values of the named column; an unknown name throws, naming those that exist.
    public func column(_ name: String) throws(DataFormatError) -> CSVColumn {
        guard let index = names.firstIndex(of: name) else {
            throw DataFormatError(path: path, "there is no column '\(name)'; the columns are \(names.joined(separator: ", "))")
        }
        return columns[index]
    }

    /// The numbers of the named column; a column of another kind throws.
    public func numbers(_ name: String) throws(DataFormatError) -> [Double] {
        let column = try column(name)
        guard case .numeric(let values) = column else {
            throw DataFormatError(path: path, "column '\(name)' is \(column.kind.rawValue), expected numbers")
        }
        return values
    }

    /// Reads a table from a file, which may be gzip's.
    ///
    /// Without an entry in `kinds`, a column whose values are all numbers is numeric, one with at most 64 different values that repeat is
    /// categorical, and any other is text. Throws `DataFormatError` with the line, or `FileError`.
    public init(path: String, format: CSVFormat = .csv, kinds: [String: CSVColumn.Kind] = [:]) throws {
        try self.init(Gzip.readFile(path), path: path, format: format, kinds: kinds)
    }

    /// Reads a table from bytes; `path` names them in errors.
    public init(_ bytes: [UInt8], path: String, format: CSVFormat = .csv, kinds: [String: CSVColumn.Kind] = [:]) throws(DataFormatError) {
        let parser = try CSVParser(bytes, format: format, path: path)
        let reader = FieldReader(parser: parser, format: format, path: path)
        guard parser.rowLines.count > (format.hasHeader ? 1 : 0) else { throw DataFormatError(path: path, "the table has no rows") }

        var names = [String]()
        for column in 0..<parser.width {
            names.append(format.hasHeader ? try reader.string(row: 0, column: column) : "column\(column + 1)")
        }
        let firstRow = format.hasHeader ? 1 : 0
        if let twice = Dictionary(grouping: names, by: { $0 }).first(where: { $0.value.count > 1 })?.key {
            throw DataFormatError(path: path, at: .line(parser.rowLines[0]), "two columns are named '\(twice)'")
        }
        if let unknown = kinds.keys.sorted().first(where: { !names.contains($0) }) {
            throw DataFormatError(path: path, "there is no column '\(unknown)'; the columns are \(names.joined(separator: ", "))")
        }
        self.names = names
        self.path = path
        rowLines = Array(parser.rowLines[firstRow...])
        rowCount = rowLines.count
        var columns = [CSVColumn]()
        for (index, name) in names.enumerated() {
            columns.append(try reader.read(column: index, name: name, rows: firstRow..<parser.rowLines.count, kind: kinds[name]))
        }
        self.columns = columns
    }
}

/// Turns the fields of one column into values.
private struct FieldReader {
    let parser: CSVParser
    let format: CSVFormat
    let path: String

    private static let maximumLevels = 64

    func string(row: Int, column: Int) throws(DataFormatError) -> String {
        let index = row * parser.width + column
        let bytes = parser.text[(index == 0 ? 0 : parser.ends[index - 1])..<parser.ends[index]]
        switch format.encoding {
        case .latin1: return String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        case .utf8:
            guard let string = String(validating: bytes, as: UTF8.self) else {
                throw DataFormatError(path: path, at: .line(parser.rowLines[row]), "field \(column + 1) is not UTF-8")
            }
            return string
        }
    }

    func read(column: Int, name: String, rows: Range<Int>, kind: CSVColumn.Kind?) throws(DataFormatError) -> CSVColumn {
        var values = [String?]()
        values.reserveCapacity(rows.count)
        for row in rows {
            let value = try string(row: row, column: column)
            values.append(format.missing.contains(value) ? nil : value)
        }
        switch kind {
        case .numeric: return .numeric(try numbers(values, name: name, rows: rows))
        case .categorical: return categories(values)
        case .text: return .text(values)
        case nil: return inferred(values)
        }
    }

    private func numbers(_ values: [String?], name: String, rows: Range<Int>) throws(DataFormatError) -> [Double] {
        var numbers = [Double]()
        numbers.reserveCapacity(values.count)
        for (row, value) in zip(rows, values) {
            guard let number = value.map({ Double($0) }) ?? .nan else {
                throw DataFormatError(path: path, at: .line(parser.rowLines[row]), "column '\(name)': '\(value ?? "")' is not a number")
            }
            numbers.append(number)
        }
        return numbers
    }

    private func inferred(_ values: [String?]) -> CSVColumn {
        var numbers = [Double]()
        for value in values {
            guard let number = value.map({ Double($0) }) ?? .nan else { break }
            numbers.append(number)
        }
        if numbers.count == values.count && values.contains(where: { $0 != nil }) { return .numeric(numbers) }

        var distinct = Set<String>()
        for case let value? in values {
            distinct.insert(value)
            if distinct.count > FieldReader.maximumLevels { return .text(values) }
        }
        return distinct.count * 2 <= values.count ? categories(values) : .text(values)
    }

    private func categories(_ values: [String?]) -> CSVColumn {
        let levels = Set(values.compactMap { $0 }).sorted()
        let codes = Dictionary(uniqueKeysWithValues: levels.enumerated().map { ($1, Int32($0)) })
        return .categorical(codes: values.map { $0.flatMap { codes[$0] } ?? -1 }, levels: levels)
    }
}
