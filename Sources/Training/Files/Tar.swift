/// Reads the regular files of a tar archive (POSIX ustar with pax path records, and GNU long names).
enum Tar {
    /// Calls `body` with each file's path as written in the archive and its bytes.
    ///
    /// The path comes from outside: a caller that creates files must not use it unchecked.
    static func forEachFile(in archive: [UInt8], path: String, _ body: (String, ArraySlice<UInt8>) throws -> Void) throws {
        var offset = 0
        var longName: String?
        while offset + blockSize <= archive.count {
            let header = archive[offset..<offset + blockSize]
            if header.allSatisfy({ $0 == 0 }) { return }
            try check(header, path: path)
            let size = try number(header, at: 124, count: 12, path: path)
            let start = offset + blockSize
            guard size <= archive.count - start else {
                throw DataFormatError(path: path, at: .offset(offset), "an archive member of \(size) bytes goes beyond the end")
            }
            let content = archive[start..<start + size]
            switch header[offset + 156] {
            case UInt8(ascii: "L"): longName = text(content)
            case UInt8(ascii: "x"): longName = paxPath(content) ?? longName
            case UInt8(ascii: "0"), 0:
                try body(longName ?? name(header), content)
                longName = nil
            default: longName = nil
            }
            offset = start + (size + blockSize - 1) / blockSize * blockSize
        }
        throw DataFormatError(path: path, at: .offset(min(offset, archive.count)), "the archive ends without its closing blocks")
    }

    private static let blockSize = 512

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

    private static func field(_ header: ArraySlice<UInt8>, at start: Int, count: Int) -> ArraySlice<UInt8> {
        header[header.startIndex + start..<header.startIndex + start + count]
    }

    private static func name(_ header: ArraySlice<UInt8>) -> String {
        let prefix = text(field(header, at: 345, count: 155))
        let name = text(field(header, at: 0, count: 100))
        return prefix.isEmpty ? name : prefix + "/" + name
    }

    private static func number(_ header: ArraySlice<UInt8>, at start: Int, count: Int, path: String) throws(DataFormatError) -> Int {
        let digits = text(field(header, at: start, count: count)).trimmingPrefix { $0 == " " }.prefix { $0 != " " }
        guard let value = Int(digits, radix: 8), value >= 0 else {
            throw DataFormatError(
                path: path, at: .offset(header.startIndex + start), "'\(digits)' is not an octal number: not a tar header")
        }
        return value
    }

    /// The header's check sum counts its own eight bytes as spaces.
    private static func check(_ header: ArraySlice<UInt8>, path: String) throws(DataFormatError) {
        let sum = header.reduce(0) { $0 + Int($1) }
        let own = field(header, at: 148, count: 8).reduce(0) { $0 + Int($1) }
        guard try number(header, at: 148, count: 8, path: path) == sum - own + 8 * 32 else {
            throw DataFormatError(path: path, at: .offset(header.startIndex), "wrong check sum in an archive member's header")
        }
    }

    /// The value of the "path" record among the "length key=value\n" records of a pax header.
    private static func paxPath(_ content: ArraySlice<UInt8>) -> String? {
        for line in content.split(separator: UInt8(ascii: "\n")) {
            let record = String(decoding: line, as: UTF8.self)
            if let equals = record.firstIndex(of: "="), record[..<equals].hasSuffix(" path") {
                return String(record[record.index(after: equals)...])
            }
        }
        return nil
    }
}
