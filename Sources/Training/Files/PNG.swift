import CZlib

/// Images as PNG files (ISO/IEC 15948), eight bits a channel.
public enum PNG {
    /// The bytes of a PNG file.
    /// - Parameters:
    ///   - pixels: row by row, the channels of a pixel together.
    ///   - width: of a row.
    ///   - height: rows.
    ///   - channels: 1 (grey) or 3 (red, green, blue). Traps for another number, an empty image or a wrong count of pixels.
    public static func encode(_ pixels: [UInt8], width: Int, height: Int, channels: Int) -> [UInt8] {
        precondition(
            (channels == 1 || channels == 3) && width > 0 && height > 0 && pixels.count == width * height * channels,
            "a PNG of \(width) × \(height) pixels with \(channels) channels from \(pixels.count) bytes")
        let colourType: UInt8 = channels == 1 ? 0 : 2
        let stride: Int = width * channels
        // Each row begins with its filter: 0 is none.
        let rows: [UInt8] = (0..<height).flatMap { [0] + pixels[$0 * stride..<($0 + 1) * stride] }
        return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
            + chunk("IHDR", bigEndian(width) + bigEndian(height) + [8, colourType, 0, 0, 0])
            + chunk("IDAT", deflated(rows))
            + chunk("IEND", [])
    }

    /// Length, name, content and the check sum of name and content.
    private static func chunk(_ name: String, _ content: [UInt8]) -> [UInt8] {
        let body: [UInt8] = Array(name.utf8) + content
        let sum: UInt = body.withUnsafeBufferPointer { UInt(crc32(0, $0.baseAddress, UInt32($0.count))) }
        return bigEndian(content.count) + body + bigEndian(Int(sum))
    }

    private static func bigEndian(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(value >> $0 & 0xff) } }

    private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        var size: uLongf = compressBound(uLong(bytes.count))
        var output: [UInt8] = [UInt8](repeating: 0, count: Int(size))
        let status: Int32 = compress2(&output, &size, bytes, uLong(bytes.count), Z_BEST_COMPRESSION)
        precondition(status == Z_OK, "zlib refused to compress: \(status)")
        return Array(output.prefix(Int(size)))
    }
}
