import CZlib
import Torch

/// Decompression of gzip data by the system's zlib.
public enum Gzip {
    /// The bytes of a file, decompressed where they are gzip's (recognised by its two magic bytes).
    ///
    /// - Parameters:
    ///   - path: of the file.
    ///   - limit: the largest decompressed size accepted, in bytes, so that a small hostile file cannot fill memory.
    public static func readFile(_ path: String, limit: Int = 1 << 32) throws -> [UInt8] {
        let bytes = try Training.readFile(path)
        return bytes.starts(with: [0x1f, 0x8b]) ? try decompress(bytes, path: path, limit: limit) : bytes
    }

    /// Decompresses all gzip members in `bytes`; `path` names them in errors.
    public static func decompress(_ bytes: [UInt8], path: String, limit: Int = 1 << 32) throws(DataFormatError) -> [UInt8] {
        var stream = z_stream()
        // 15 is the largest window; 16 more asks for gzip's header and check sum.
        let opened = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(opened == Z_OK, "zlib refused to start: \(opened)")
        defer { inflateEnd(&stream) }

        var output = [UInt8]()
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var consumed = 0
        while consumed < bytes.count {
            let status = inflateOnce(&stream, bytes, &consumed, &chunk, &output)
            if output.count > limit { throw DataFormatError(path: path, "decompresses to more than \(limit) bytes") }
            switch status {
            case Z_OK: continue
            case Z_STREAM_END where consumed == bytes.count: return output
            case Z_STREAM_END: inflateReset(&stream)
            case Z_BUF_ERROR: throw DataFormatError(path: path, at: .offset(consumed), "the gzip data ends too early")
            default:
                let reason = stream.msg.map { String(cString: $0) } ?? "zlib error \(status)"
                throw DataFormatError(path: path, at: .offset(consumed), "damaged gzip data: \(reason)")
            }
        }
        throw DataFormatError(path: path, at: .offset(consumed), "the gzip data ends too early")
    }

    /// One call of `inflate` on the bytes from `consumed` on, appending what it yields to `output`.
    private static func inflateOnce(
        _ stream: inout z_stream, _ bytes: [UInt8], _ consumed: inout Int, _ chunk: inout [UInt8], _ output: inout [UInt8]
    ) -> Int32 {
        let available = min(bytes.count - consumed, 1 << 30)
        let capacity = chunk.count
        let status: Int32 = bytes.withUnsafeBufferPointer { source in
            chunk.withUnsafeMutableBufferPointer { target in
                stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress! + consumed)
                stream.avail_in = UInt32(available)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(capacity)
                return inflate(&stream, Z_NO_FLUSH)
            }
        }
        consumed += available - Int(stream.avail_in)
        output.append(contentsOf: chunk[..<(capacity - Int(stream.avail_out))])
        return status
    }
}
