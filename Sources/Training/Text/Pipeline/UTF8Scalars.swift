/// Reading and writing single scalars in UTF-8 bytes that are known to be valid.
enum UTF8Scalars {
    /// The scalar that starts at an index, and the index after it. The bytes must be valid UTF-8 and the index a scalar's first byte.
    @inline(__always)
    static func scalar(in bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> (value: UInt32, next: Int) {
        let lead = UInt32(bytes[index])
        if lead < 0x80 { return (lead, index + 1) }
        let second = UInt32(bytes[index + 1] & 0x3F)
        if lead < 0xE0 { return ((lead & 0x1F) << 6 | second, index + 2) }
        let third = UInt32(bytes[index + 2] & 0x3F)
        if lead < 0xF0 { return ((lead & 0x0F) << 12 | second << 6 | third, index + 3) }
        return ((lead & 0x07) << 18 | second << 12 | third << 6 | UInt32(bytes[index + 3] & 0x3F), index + 4)
    }

    static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) { bytes.append(contentsOf: UTF8.encode(scalar)!) }

    /// The bytes of one scalar.
    static func bytes(of scalar: Unicode.Scalar) -> [UInt8] { Array(UTF8.encode(scalar)!) }

    /// The scalars of valid UTF-8.
    static func scalars(of bytes: some Collection<UInt8>) -> String.UnicodeScalarView {
        String(decoding: bytes, as: UTF8.self).unicodeScalars
    }

    /// The bytes of scalars.
    static func bytes(of scalars: some Sequence<Unicode.Scalar>) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in scalars { append(scalar, to: &bytes) }
        return bytes
    }
}

/// What is and what is not UTF-8 (Unicode standard, table 3-7), with ill-formed parts delimited as in "maximal subpart" replacement.
enum UTF8Validation {
    /// The part of the bytes that starts at an index.
    enum Part: Equatable {
        /// A scalar of so many bytes.
        case scalar(length: Int)
        /// So many bytes that can begin no scalar, whatever follows: one replacement character.
        case illFormed(length: Int)
        /// The bytes end within what can still become a scalar.
        case incomplete
    }

    static func part(of bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Part {
        let lead = bytes[index]
        if lead < 0x80 { return .scalar(length: 1) }
        guard let (length, secondByte) = shape(lead) else { return .illFormed(length: 1) }
        for offset in 1..<length {
            guard index + offset < bytes.count else { return .incomplete }
            let allowed = offset == 1 ? secondByte : 0x80...0xBF
            guard allowed.contains(bytes[index + offset]) else { return .illFormed(length: offset) }
        }
        return .scalar(length: length)
    }

    /// How long a scalar with this lead byte is and what its second byte may be; nil for a byte that leads nothing.
    private static func shape(_ lead: UInt8) -> (length: Int, secondByte: ClosedRange<UInt8>)? {
        switch lead {
        case 0xC2...0xDF: (2, 0x80...0xBF)
        case 0xE0: (3, 0xA0...0xBF)
        case 0xED: (3, 0x80...0x9F)
        case 0xE1...0xEF: (3, 0x80...0xBF)
        case 0xF0: (4, 0x90...0xBF)
        case 0xF1...0xF3: (4, 0x80...0xBF)
        case 0xF4: (4, 0x80...0x8F)
        default: nil
        }
    }

    /// The offset of the first byte of the first ill-formed or cut-off part, or nil where all is UTF-8.
    static func firstInvalidOffset(in bytes: [UInt8]) -> Int? {
        bytes.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < buffer.count {
                guard case .scalar(let length) = part(of: buffer, at: index) else { return index }
                index += length
            }
            return nil
        }
    }

    /// Moves all that is decided from the pending bytes to the output, ill-formed parts as U+FFFD; a scalar's beginning stays pending.
    static func drain(_ pending: inout [UInt8], into output: inout [UInt8]) {
        let consumed = pending.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < buffer.count {
                switch part(of: buffer, at: index) {
                case .scalar(let length):
                    output.append(contentsOf: buffer[index..<index + length])
                    index += length
                case .illFormed(let length):
                    output.append(contentsOf: replacement)
                    index += length
                case .incomplete:
                    return index
                }
            }
            return index
        }
        pending.removeFirst(consumed)
    }

    /// U+FFFD in UTF-8.
    static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
}
