/// The byte-level alphabet of GPT-2: each byte as one printable scalar, so that a vocabulary of byte strings can be written as text.
///
/// Printable bytes of Latin-1 stand for themselves, the others follow from U+0100 in byte order.
enum ByteAlphabet {
    /// The scalar of each byte.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0..<256).map { value -> Unicode.Scalar in
            switch value {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
                return Unicode.Scalar(UInt8(value))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next)!
            }
        }
    }()

    /// The UTF-8 bytes of each byte's scalar.
    static let encodings: [[UInt8]] = scalars.map(UTF8Scalars.bytes(of:))

    /// The byte of each scalar below U+0144, or nil where the scalar is not of the alphabet.
    private static let bytes: [UInt8?] = {
        var table = [UInt8?](repeating: nil, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = UInt8(byte) }
        return table
    }()

    /// Bytes as text in the alphabet, in UTF-8.
    static func encode(_ raw: some Sequence<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        for byte in raw { text.append(contentsOf: encodings[Int(byte)]) }
        return text
    }

    /// The bytes that a text in the alphabet stands for, or nil where it has a scalar outside it.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var raw: [UInt8] = []
        raw.reserveCapacity(text.count)
        let isComplete = text.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < buffer.count {
                let (value, next) = UTF8Scalars.scalar(in: buffer, at: index)
                guard value < 0x144, let byte = bytes[Int(value)] else { return false }
                raw.append(byte)
                index = next
            }
            return true
        }
        return isComplete ? raw : nil
    }
}
