import Foundation
import TestSupport
import Testing
import Training

@Suite(.ownRandomNumbers) struct PNGTests {
    /// Reads the file by its standard: check sums, header, rows without a filter.
    private static let reader: String = """
        import struct, sys, zlib
        data = open(sys.argv[1], "rb").read()
        assert data[:8] == bytes([137]) + b"PNG" + bytes([13, 10, 26, 10])
        place, packed = 8, b""
        while place < len(data):
            length, = struct.unpack(">I", data[place:place + 4])
            name, body = data[place + 4:place + 8], data[place + 8:place + 8 + length]
            assert struct.unpack(">I", data[place + 8 + length:place + 12 + length])[0] == zlib.crc32(name + body)
            if name == b"IHDR": width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", body)
            if name == b"IDAT": packed += body
            place += 12 + length
        assert name == b"IEND" and depth == 8 and rest == [0, 0, 0]
        rows, stride = zlib.decompress(packed), width * {0: 1, 2: 3}[colour] + 1
        assert len(rows) == height * stride and all(rows[r * stride] == 0 for r in range(height))
        print(width, height, colour, *[b for r in range(height) for b in rows[r * stride + 1:(r + 1) * stride]])
        """

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"), arguments: [1, 3]) func pythonReadsThePixels(channels: Int) throws
    {
        let (width, height): (Int, Int) = (5, 300)
        let pixels: [UInt8] = (0..<width * height * channels).map { UInt8(($0 * $0 + 3 * $0) % 256) }
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("image.png")
            try Data(PNG.encode(pixels, width: width, height: height, channels: channels)).write(to: file)
            let numbers: [Int] = try PythonPeer.run(Self.reader, file.path).split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            #expect(numbers == [width, height, channels == 1 ? 0 : 2] + pixels.map(Int.init))
        }
    }
}
