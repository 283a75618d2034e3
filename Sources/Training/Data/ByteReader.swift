/// Reads fixed-width fields from a file's bytes; going beyond the end throws with the offset.
struct ByteReader {
    let bytes: [UInt8]
    let path: String
    private(set) var offset = 0

    init(_ bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    var remaining: Int { bytes.count - offset }

    mutating func take(_ count: Int, _ what: String) throws(DataFormatError) -> ArraySlice<UInt8> {
        guard count <= remaining else {
            throw DataFormatError(path: path, at: .offset(offset), "\(what) needs \(count) bytes, the file has \(remaining) more")
        }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    mutating func skip(_ count: Int) { offset += min(count, remaining) }

    mutating func bigEndian32(_ what: String) throws(DataFormatError) -> UInt32 {
        try take(4, what).reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func littleEndian32(_ what: String) throws(DataFormatError) -> UInt32 {
        try take(4, what).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func littleEndian16(_ what: String) throws(DataFormatError) -> UInt16 {
        try take(2, what).reversed().reduce(0) { $0 << 8 | UInt16($1) }
    }

    func error(_ problem: String, at position: Int? = nil) -> DataFormatError {
        DataFormatError(path: path, at: .offset(position ?? offset), problem)
    }
}
