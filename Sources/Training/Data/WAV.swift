import Torch

/// Reads RIFF WAVE files: integers of 8, 16, 24 and 32 bits and floats of 32 and 64, any number of channels, also in the extensible form.
public enum WAV {
    /// Reads a WAV file. Throws `DataFormatError` with the offset, or `FileError`.
    public static func read(path: String) throws -> Waveform {
        try decode(readFile(path), path: path)
    }

    /// Reads a WAV file's bytes; `path` names them in errors.
    public static func decode(_ bytes: [UInt8], path: String) throws(DataFormatError) -> Waveform {
        var reader = ByteReader(bytes, path: path)
        let riff = try name(&reader, "the RIFF header")
        guard riff == "RIFF" else { throw reader.error("not a WAV file: it starts with '\(riff)', expected 'RIFF'", at: 0) }
        _ = try reader.littleEndian32("the RIFF size")
        let kind = try name(&reader, "the RIFF kind")
        guard kind == "WAVE" else { throw reader.error("a RIFF file of kind '\(kind)', expected 'WAVE'", at: 8) }

        var format: Format?
        while reader.remaining >= 8 {
            let start = reader.offset
            let chunk = try name(&reader, "a chunk's name")
            let size = Int(try reader.littleEndian32("a chunk's size"))
            switch chunk {
            case "fmt ": format = try Format(reader.take(size, "the fmt chunk"), path: path, offset: start + 8)
            case "data":
                guard let format else { throw reader.error("the data chunk comes before the fmt chunk", at: start) }
                return try samples(&reader, size: size, format: format)
            default: reader.skip(size)
            }
            // Chunks start at even offsets.
            if size % 2 == 1 && chunk != "data" { reader.skip(1) }
        }
        throw reader.error("the file has no data chunk")
    }

    /// What the fmt chunk says about a sample.
    private struct Format {
        let isFloat: Bool
        let channels: Int
        let sampleRate: Int
        let bits: Int

        init(_ chunk: ArraySlice<UInt8>, path: String, offset: Int) throws(DataFormatError) {
            var reader = ByteReader(Array(chunk), path: path)
            func wrong(_ problem: String) -> DataFormatError { DataFormatError(path: path, at: .offset(offset), problem) }
            guard chunk.count >= 16 else { throw wrong("the fmt chunk has \(chunk.count) bytes, expected at least 16") }
            var tag = try reader.littleEndian16("the format")
            channels = Int(try reader.littleEndian16("the channels"))
            sampleRate = Int(try reader.littleEndian32("the rate"))
            reader.skip(4)
            let frame = Int(try reader.littleEndian16("the frame size"))
            bits = Int(try reader.littleEndian16("the bits"))
            if tag == 0xFFFE {
                // The real format is the start of the sub-format's GUID.
                guard chunk.count >= 26 else { throw wrong("the extensible fmt chunk has \(chunk.count) bytes, expected 40") }
                reader.skip(8)
                tag = try reader.littleEndian16("the sub-format")
            }
            isFloat = tag == 3
            guard tag == 1 || tag == 3 else { throw wrong("WAV format \(tag) is not supported, expected PCM (1) or float (3)") }
            let widths = isFloat ? [32, 64] : [8, 16, 24, 32]
            guard widths.contains(bits) else {
                throw wrong("\(bits)-bit \(isFloat ? "float" : "integer") samples are not supported, expected \(widths)")
            }
            guard channels > 0 && sampleRate > 0 else { throw wrong("\(channels) channels at \(sampleRate) samples a second") }
            guard frame == channels * bits / 8 else { throw wrong("frames of \(frame) bytes, expected \(channels * bits / 8)") }
        }
    }

    private static func name(_ reader: inout ByteReader, _ what: String) throws(DataFormatError) -> String {
        String(decoding: try reader.take(4, what), as: UTF8.self)
    }

    private static func samples(_ reader: inout ByteReader, size: Int, format: Format) throws(DataFormatError) -> Waveform {
        let frame = format.channels * format.bits / 8
        // A recorder that writes to a pipe cannot know the size and leaves the largest one: the data then goes to the end.
        let bytes = size == Int(UInt32.max) ? reader.remaining / frame * frame : size
        guard bytes % frame == 0 else { throw reader.error("\(bytes) bytes of data are not whole frames of \(frame) bytes") }
        let data = try reader.take(bytes, "the data chunk")
        let count = bytes / frame
        let channels: [[Float]] = data.withUnsafeBytes { raw in
            (0..<format.channels).map { channel in
                [Float](unsafeUninitializedCapacity: count) { target, initialized in
                    for index in 0..<count {
                        let offset = index * frame + channel * format.bits / 8
                        target.initializeElement(at: index, to: sample(raw, offset, format))
                    }
                    initialized = count
                }
            }
        }
        return Waveform(sampleRate: format.sampleRate, channels: channels)
    }

    /// One sample as a fraction of full scale; 8-bit samples are unsigned, the others signed.
    @inline(__always)
    private static func sample(_ raw: UnsafeRawBufferPointer, _ offset: Int, _ format: Format) -> Float {
        switch (format.bits, format.isFloat) {
        case (8, _): return (Float(raw[offset]) - 128) / 128
        case (16, _): return Float(Int16(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: Int16.self))) / 32768
        case (24, _):
            let low = UInt32(raw[offset]) << 8 | UInt32(raw[offset + 1]) << 16
            return Float(Int32(bitPattern: low | UInt32(raw[offset + 2]) << 24) >> 8) / 8_388_608
        case (32, false):
            return Float(Double(Int32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: Int32.self))) / 2_147_483_648)
        case (32, true): return Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        default: return Float(Double(bitPattern: UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))))
        }
    }
}
