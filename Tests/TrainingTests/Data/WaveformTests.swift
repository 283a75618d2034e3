import Foundation
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct WaveformTests {
    private func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    private func chunk(_ name: String, _ content: [UInt8]) -> [UInt8] {
        Array(name.utf8) + little(UInt32(content.count)) + content + (content.count % 2 == 1 ? [0] : [])
    }

    private func format(_ tag: UInt16, bits: Int, channels: Int = 1, extensible: Bool = false) -> [UInt8] {
        let frame = channels * bits / 8
        let base = little(extensible ? 0xFFFE : tag) + little(UInt16(channels)) + little(UInt32(8000)) + little(UInt32(8000 * frame))
        let body = base + little(UInt16(frame)) + little(UInt16(bits))
        guard extensible else { return chunk("fmt ", body) }
        return chunk(
            "fmt ", body + little(UInt16(22)) + little(UInt16(bits)) + little(UInt32(4)) + little(tag) + [UInt8](repeating: 0, count: 14))
    }

    private func wav(_ chunks: [UInt8]...) -> [UInt8] {
        let body = chunks.flatMap { $0 }
        return Array("RIFF".utf8) + little(UInt32(body.count + 4)) + Array("WAVE".utf8) + body
    }

    @Test func everySampleFormatGivesTheSameSound() throws {
        let values: [Double] = [0, 0.5, -0.5, -1, 0.25]
        let encodings: [(tag: UInt16, bits: Int, encode: (Double) -> [UInt8])] = [
            (1, 8, { [UInt8($0 * 128 + 128)] }),
            (1, 16, { self.little(Int16($0 * 32768)) }),
            (1, 24, { Array(self.little(Int32($0 * 8_388_608)).prefix(3)) }),
            (1, 32, { self.little(Int32($0 * 2_147_483_648)) }),
            (3, 32, { self.little(Float($0).bitPattern) }),
            (3, 64, { self.little($0.bitPattern) }),
        ]
        for (tag, bits, encode) in encodings {
            for extensible in [false, true] {
                let data = chunk("data", values.flatMap(encode))
                let sound = try WAV.decode(wav(format(tag, bits: bits, extensible: extensible), data), path: "a.wav")
                #expect(sound.channels == [values.map { Float($0) }] && sound.sampleRate == 8000, "\(tag) \(bits)")
            }
        }
    }

    @Test func channelsAreSplitAndOtherChunksSkipped() throws {
        let data = chunk("data", [Int16(0), 16384, 16384, -16384].flatMap { little($0) })
        let sound = try WAV.decode(
            wav(chunk("LIST", [1, 2, 3]), format(1, bits: 16, channels: 2), chunk("fact", [0]), data), path: "a.wav")
        #expect(sound.channels == [[0, 0.5], [0.5, -0.5]])
        #expect(sound.mono == [0.25, 0])
    }

    @Test func aDataChunkOfUnknownSizeGoesToTheEnd() throws {
        let data = Array("data".utf8) + little(UInt32.max) + little(Int16(16384)) + [0]
        #expect(try WAV.decode(wav(format(1, bits: 16), data), path: "a.wav").channels == [[0.5]])
    }

    @Test func badFilesAreTypedErrors() throws {
        func problem(_ bytes: [UInt8]) -> String {
            do {
                _ = try WAV.decode(bytes, path: "a.wav")
                return ""
            } catch { return error.description }
        }
        #expect(problem(Array("RIFX".utf8)).contains("expected 'RIFF'"))
        #expect(problem([]) == "a.wav, byte 0: the RIFF header needs 4 bytes, the file has 0 more")
        #expect(problem(wav(format(1, bits: 16))).contains("no data chunk"))
        #expect(problem(wav(chunk("data", [0, 0]))).contains("before the fmt chunk"))
        #expect(problem(wav(format(2, bits: 16), chunk("data", [0, 0]))).contains("format 2 is not supported"))
        #expect(problem(wav(format(1, bits: 12), chunk("data", [0, 0]))).contains("12-bit"))
        #expect(problem(wav(format(1, bits: 16), chunk("data", [0, 0, 0]))).contains("whole frames"))
        #expect(problem(wav(format(1, bits: 16), Array("data".utf8) + little(UInt32(100)) + [0, 0])).contains("needs 100 bytes"))
        let whole = wav(format(1, bits: 16), chunk("data", [1, 2, 3, 4]))
        for count in 0..<whole.count { #expect(!problem(Array(whole.prefix(count))).isEmpty) }
        var generator = SplitMix64(seed: 4)
        var refused = 0
        for _ in 0..<3000 {
            var damaged = whole
            for _ in 0..<3 { damaged[Int(generator.next(below: UInt64(whole.count)))] = UInt8(generator.next(below: 256)) }
            if !problem(damaged).isEmpty { refused += 1 }
        }
        #expect(refused > 1000)
    }

    @Test func croppingPaddingAndResampling() {
        #expect(Waveform.centred([1, 2, 3, 4, 5], to: 3) == [2, 3, 4])
        #expect(Waveform.centred([1, 2], to: 5) == [0, 1, 2, 0, 0])
        let loud = Waveform.unitPower([3, -4])
        #expect(abs(loud[0] * loud[0] + loud[1] * loud[1] - 2) < 1e-6)
        #expect(Waveform.unitPower([0, 0]) == [0, 0])
        let ramp = Waveform(sampleRate: 4, channels: [[0, 1, 2, 3]])
        #expect(ramp.resampled(to: 8).channels == [[0, 0.5, 1, 1.5, 2, 2.5, 3, 3]])
        #expect(ramp.resampled(to: 2).channels == [[0, 2]])
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"))
    func readsTheSpokenDigitsLikePython() throws {
        guard let folder = testData("fsdd") else { return print("readsTheSpokenDigitsLikePython: skipped, fsdd is not here") }
        let digits = try FreeSpokenDigits(folder: folder)
        #expect(digits.recordings.count == 3000 && digits.test.count == 300 && digits.train.count == 2700)
        #expect(Set(digits.recordings.map(\.speaker)).count == 6)
        var total = 0
        for recording in digits.recordings where recording.index < 3 && recording.digit == 4 {
            let sound = try recording.waveform()
            #expect(sound.sampleRate == 8000 && sound.channels.count == 1)
            total += sound.channels[0].reduce(0) { $0 + abs(Int($1 * 32768)) } + sound.length
        }
        let script = """
            import wave,array,glob,sys,re
            t=0
            for f in glob.glob(sys.argv[1]+'/4_*_[012].wav'):
                w=wave.open(f); a=array.array('h',w.readframes(w.getnframes())); t+=sum(abs(v) for v in a)+len(a)
            print(t)
            """
        #expect("\(total)\n" == (try PythonPeer.run(script, folder)))
    }

    @Test func aRecordingWithAnotherNameIsATypedError() throws {
        let scratch = Scratch()
        try AtomicFile.write("", to: scratch.file("eleven_bob_1.wav"))
        #expect(throws: DataFormatError.self) { try FreeSpokenDigits(folder: scratch.path) }
        #expect(throws: DataFormatError.self) { try FreeSpokenDigits(folder: scratch.file("none")) }
    }
}
