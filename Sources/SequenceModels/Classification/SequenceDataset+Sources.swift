import Foundation
import Training

extension SequenceDataset {
    /// The free spoken digits as raw waveforms, cut or padded about their centre to `length` samples at 8 kHz and scaled to unit RMS.
    /// Recordings 0 to 4 of each speaker and digit are the test part.
    public static func spokenDigits(folder: String, length: Int = 4096) throws -> (train: SequenceDataset, test: SequenceDataset) {
        let digits: FreeSpokenDigits = try FreeSpokenDigits(folder: folder)
        return (try waveforms(digits.train, length), try waveforms(digits.test, length))
    }

    private static func waveforms(_ recordings: [FreeSpokenDigits.Recording], _ length: Int) throws -> SequenceDataset {
        let values: [Float] = try recordings.flatMap { Waveform.unitPower(Waveform.centred(try $0.waveform().mono, to: length)) }
        return SequenceDataset(
            values: values, labels: recordings.map { Int32($0.digit) }, length: length, channels: 1, classes: (0..<10).map(String.init))
    }

    /// MNIST read pixel by pixel, averaged down to 14 × 14, so 196 steps of one channel in 0 … 1.
    public static func sequentialDigits(_ part: MNIST.Part, folder: String, limit: Int? = nil) throws -> SequenceDataset {
        images(try MNIST.load(part, folder: folder), side: 14, limit: limit)
    }

    /// Images read pixel by pixel in row-major order, `side · side` steps of all channels in 0 … 1; the first `limit` of them.
    public static func images(_ images: LabelledImages, side: Int, limit: Int? = nil) -> SequenceDataset {
        let count: Int = min(limit ?? images.count, images.count)
        let pixels: Int = side * side
        let values: [Float] = (0..<count).flatMap { index in
            let planes: [Float] = images.image(index, resizedTo: side)
            return (0..<pixels).flatMap { pixel in (0..<images.channels).map { planes[$0 * pixels + pixel] } }
        }
        return SequenceDataset(
            values: values, labels: images.labels.prefix(count).map { Int32($0) }, length: pixels, channels: images.channels,
            classes: (0...Int(images.labels.max() ?? 0)).map(String.init))
    }

    /// Recordings in one subfolder for each class, resampled to `rate`, cut or padded to `length` samples, scaled to unit RMS.
    /// Every fifth file of a class, by name, is the test part.
    /// - Throws: `DataFormatError` when there are fewer than two classes or a class has fewer than five recordings.
    public static func recordings(folder: String, length: Int, rate: Int) throws -> (train: SequenceDataset, test: SequenceDataset) {
        let classes: [String] = try subfolders(of: folder)
        guard classes.count >= 2 else {
            throw DataFormatError(path: folder, "has \(classes.count) subfolders; recordings need one for each class, and at least two")
        }
        var parts: [(values: [Float], labels: [Int32])] = [([], []), ([], [])]
        for (label, name) in classes.enumerated() {
            let files: [String] = try waveFiles(in: "\(folder)/\(name)")
            guard files.count >= 5 else {
                throw DataFormatError(path: "\(folder)/\(name)", "has \(files.count) .wav files; a class needs at least 5")
            }
            for (index, file) in files.enumerated() {
                let part: Int = index % 5 == 4 ? 1 : 0
                let wave: Waveform = try WAV.read(path: file).resampled(to: rate)
                parts[part].values += Waveform.unitPower(Waveform.centred(wave.mono, to: length))
                parts[part].labels.append(Int32(label))
            }
        }
        let datasets: [SequenceDataset] = parts.map {
            SequenceDataset(values: $0.values, labels: $0.labels, length: length, channels: 1, classes: classes)
        }
        return (datasets[0], datasets[1])
    }

    private static func subfolders(of folder: String) throws -> [String] {
        let names: [String] = try listing(folder)
        return names.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) && isFolder.boolValue
        }
    }

    private static func waveFiles(in folder: String) throws -> [String] {
        try listing(folder).filter { $0.lowercased().hasSuffix(".wav") }.map { "\(folder)/\($0)" }
    }

    private static func listing(_ folder: String) throws -> [String] {
        do { return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted() } catch {
            throw DataFormatError(path: folder, "is not a folder that can be read")
        }
    }
}
