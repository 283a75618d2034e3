import Experiments
import Foundation
import Torch

/// The measurements of single seeds, kept in `RESULTS/.partial/SLUG.SCALE.SEED.json` until the report is written, so that a run that was
/// interrupted or killed continues with them.
struct PartialResults: Sendable {
    /// One seed's measurements.
    struct Seed: Codable, Sendable {
        /// The program that measured them; another one's are not continued with.
        let build: String
        let seed: UInt64
        let seconds: Double
        let measurements: Measurements
    }

    let folder: String
    let slug: String
    let scale: Scale
    let build: String

    init(results: String, slug: String, scale: Scale, build: String) {
        folder = results + "/.partial"
        self.slug = slug
        self.scale = scale
        self.build = build
    }

    func path(_ seed: UInt64) -> String { "\(folder)/\(slug).\(scale.rawValue).\(seed).json" }

    /// What this build has measured for a seed; nil where there is nothing, or nothing that can be continued with.
    func load(_ seed: UInt64) -> Seed? {
        guard let data = FileManager.default.contents(atPath: path(seed)), let kept = try? Report.decoder.decode(Seed.self, from: data),
            kept.build == build, kept.seed == seed, Self.isOfOneSeed(kept)
        else { return nil }
        return kept
    }

    func store(_ measurements: Measurements, seed: UInt64, seconds: Double) throws {
        try AtomicFile.createFolder(folder)
        let kept: Seed = Seed(build: build, seed: seed, seconds: seconds, measurements: measurements)
        try AtomicFile.write(Report.encoder.encode(kept), to: path(seed))
    }

    func remove(_ seeds: [UInt64]) {
        for seed in seeds { unlink(path(seed)) }
        // Goes away with its last file only.
        rmdir(folder)
    }

    /// A number that is there twice, or belongs to another seed, would spoil the report.
    private static func isOfOneSeed(_ kept: Seed) -> Bool {
        let values: [Measurements.Value] = kept.measurements.values
        return !values.isEmpty && values.allSatisfy { $0.seed == kept.seed }
            && Set(values.map { [$0.method, $0.metric] }).count == values.count
    }
}

/// Which program this is.
public enum BuildIdentity {
    /// Size and time of the running program's file. A program that is built again is another one; nothing of it has to be read for that.
    public static let current: String = of(executable) ?? "unknown"

    /// Path of the running program.
    public static var executable: String { Bundle.main.executablePath ?? CommandLine.arguments[0] }

    static func of(_ path: String) -> String? {
        guard let facts = try? FileManager.default.attributesOfItem(atPath: path), let size = facts[.size] as? Int,
            let changed = facts[.modificationDate] as? Date
        else { return nil }
        return "\(size) bytes of \(Int(changed.timeIntervalSince1970 * 1000))"
    }
}
