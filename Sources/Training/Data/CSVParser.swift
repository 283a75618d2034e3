/// How a table's text is written.
public struct CSVFormat: Sendable, Equatable {
    public enum Encoding: Sendable { case utf8, latin1 }

    public var delimiter: UInt8 = UInt8(ascii: ",")
    /// Whether the first row names the columns; otherwise they are named "column1", "column2", ...
    public var hasHeader = true
    /// Whether `"` quotes a field (RFC 4180: delimiters and line ends inside it are text, `""` is one quote).
    public var quoting = true
    /// Whether blanks around an unquoted field are dropped.
    public var trimsBlanks = true
    /// Lines that start with this byte are skipped.
    public var comment: UInt8?
    /// Unquoted or quoted fields with one of these texts are missing values.
    public var missing: Set<String> = ["", "NA", "N/A", "NaN", "nan", "null", "?"]
    public var encoding = Encoding.utf8

    /// Commas, a header, quoting.
    public static let csv = CSVFormat()
    /// Tabs, without header or quoting, nothing trimmed: the usual form of text sets.
    public static let tsv = CSVFormat(delimiter: UInt8(ascii: "\t"), hasHeader: false, quoting: false, trimsBlanks: false)

    public init(
        delimiter: UInt8 = UInt8(ascii: ","), hasHeader: Bool = true, quoting: Bool = true, trimsBlanks: Bool = true, comment: UInt8? = nil,
        missing: Set<String> = ["", "NA", "N/A", "NaN", "nan", "null", "?"], encoding: Encoding = .utf8
    ) {
        self.delimiter = delimiter
        self.hasHeader = hasHeader
        self.quoting = quoting
        self.trimsBlanks = trimsBlanks
        self.comment = comment
        self.missing = missing
        self.encoding = encoding
    }
}

/// Splits a table's bytes into fields in one pass. The fields lie unescaped one after the other in `text`, so that no string is made
/// before a column's type is known.
struct CSVParser {
    /// The bytes of all fields.
    private(set) var text = [UInt8]()
    /// The end of each field in `text`; a field starts where the one before it ends.
    private(set) var ends = [Int]()
    /// The line, counted from 1, on which each row starts.
    private(set) var rowLines = [Int]()
    /// The number of fields in every row; 0 for an empty table.
    private(set) var width = 0

    private let bytes: [UInt8]
    private let format: CSVFormat
    private let path: String
    private var position = 0
    private var line = 1

    private static let quote = UInt8(ascii: "\"")
    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")

    init(_ bytes: [UInt8], format: CSVFormat, path: String) throws(DataFormatError) {
        self.bytes = bytes
        self.format = format
        self.path = path
        text.reserveCapacity(bytes.count)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        while position < bytes.count {
            if skipLine() { continue }
            try parseRow()
        }
    }

    /// Skips an empty or a comment line.
    private mutating func skipLine() -> Bool {
        let first = bytes[position]
        if first == format.comment {
            while position < bytes.count && bytes[position] != CSVParser.lineFeed { position += 1 }
        } else if first == CSVParser.carriageReturn && position + 1 < bytes.count && bytes[position + 1] == CSVParser.lineFeed {
            position += 1
        } else if first != CSVParser.lineFeed {
            return false
        }
        if position < bytes.count { position += 1 }
        line += 1
        return true
    }

    private mutating func parseRow() throws(DataFormatError) {
        let start = line
        let before = ends.count
        while true {
            try parseField()
            if position >= bytes.count { break }
            let byte = bytes[position]
            position += 1
            if byte == format.delimiter { continue }
            if byte == CSVParser.carriageReturn { position += 1 }
            line += 1
            break
        }
        let count = ends.count - before
        if width == 0 { width = count }
        guard count == width else {
            throw DataFormatError(path: path, at: .line(start), "the row has \(count) fields, expected \(width)")
        }
        rowLines.append(start)
    }

    /// Parses one field and stops at the byte after it: a delimiter, a line's end or the end of the text.
    private mutating func parseField() throws(DataFormatError) {
        let start = text.count
        var look = position
        if format.trimsBlanks { while look < bytes.count && isBlank(bytes[look]) { look += 1 } }
        if format.quoting && look < bytes.count && bytes[look] == CSVParser.quote {
            position = look + 1
            try parseQuoted()
        } else {
            if format.trimsBlanks { position = look }
            while position < bytes.count && !isFieldEnd(position) {
                text.append(bytes[position])
                position += 1
            }
            if format.trimsBlanks { while text.count > start && isBlank(text[text.count - 1]) { text.removeLast() } }
        }
        ends.append(text.count)
    }

    /// Parses the rest of a quoted field, from after its opening quote.
    private mutating func parseQuoted() throws(DataFormatError) {
        let start = line
        while true {
            guard position < bytes.count else {
                throw DataFormatError(path: path, at: .line(start), "a quoted field that starts here is never closed")
            }
            let byte = bytes[position]
            position += 1
            if byte == CSVParser.quote {
                guard position < bytes.count && bytes[position] == CSVParser.quote else { break }
                position += 1
            } else if byte == CSVParser.lineFeed {
                line += 1
            }
            text.append(byte)
        }
        if format.trimsBlanks { while position < bytes.count && isBlank(bytes[position]) { position += 1 } }
        guard position == bytes.count || isFieldEnd(position) else {
            throw DataFormatError(path: path, at: .line(line), "text follows a closing quote; a quote inside a field is written twice")
        }
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (byte == UInt8(ascii: "\t") && format.delimiter != byte) }

    private func isFieldEnd(_ index: Int) -> Bool {
        let byte = bytes[index]
        if byte == format.delimiter || byte == CSVParser.lineFeed { return true }
        return byte == CSVParser.carriageReturn && index + 1 < bytes.count && bytes[index + 1] == CSVParser.lineFeed
    }
}
