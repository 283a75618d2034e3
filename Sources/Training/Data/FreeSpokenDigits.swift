import Foundation

/// The free spoken digit recordings (Jakobovski/free-spoken-digit-dataset): files named digit_speaker_index.wav.
public struct FreeSpokenDigits: Sendable {
    /// One recording.
    public struct Recording: Sendable, Equatable {
        public let digit: Int
        public let speaker: String
        /// The number of the take, from 0; the set's own rule puts takes 0 to 4 into the test part.
        public let index: Int
        public let path: String

        public var isTest: Bool { index < 5 }

        /// The recording's sound.
        public func waveform() throws -> Waveform { try WAV.read(path: path) }
    }

    /// All recordings, ordered by digit, speaker and index.
    public let recordings: [Recording]

    public var train: [Recording] { recordings.filter { !$0.isTest } }
    public var test: [Recording] { recordings.filter(\.isTest) }

    /// Lists the recordings of the set's folder (`DataDirectory.locate("fsdd")`); a WAV file with another kind of name throws.
    public init(folder: String) throws(DataFormatError) {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".wav") }
        guard !names.isEmpty else { throw DataFormatError(path: folder, "holds no WAV file") }
        var recordings = [Recording]()
        for name in names {
            let parts = name.dropLast(4).split(separator: "_")
            guard parts.count == 3, let digit = Int(parts[0]), (0...9).contains(digit), let index = Int(parts[2]), index >= 0 else {
                throw DataFormatError(path: folder + "/" + name, "the name is not digit_speaker_index.wav")
            }
            recordings.append(Recording(digit: digit, speaker: String(parts[1]), index: index, path: folder + "/" + name))
        }
        self.recordings = recordings.sorted { ($0.digit, $0.speaker, $0.index) < ($1.digit, $1.speaker, $1.index) }
    }
}
