import Foundation
import Training

/// The outcome of an experiment, as it is kept under `results/`.
public struct Report: Codable, Sendable {
    public let slug: String
    public let summary: String
    public let scale: Scale
    public let seeds: [UInt64]
    /// Seeds whose measurements an earlier run that was interrupted had kept; nil when this one measured all.
    public let resumedSeeds: [UInt64]?
    /// When the run that wrote the report began.
    public let started: Date
    /// What all seeds took, those of an earlier run included.
    public let seconds: Double
    public let environment: [String: String]
    public let measurements: Measurements
    public let gates: [GateResult]
    public let claims: [ClaimResult]

    public init(
        slug: String, summary: String, scale: Scale, seeds: [UInt64], resumedSeeds: [UInt64] = [], started: Date, seconds: Double,
        measurements: Measurements, criteria: Criteria
    ) {
        self.slug = slug
        self.summary = summary
        self.scale = scale
        self.seeds = seeds
        self.resumedSeeds = resumedSeeds.isEmpty ? nil : resumedSeeds
        self.started = started
        self.seconds = seconds
        environment = RunEnvironment.current
        self.measurements = measurements
        gates = criteria.gates.map { $0.judge(measurements, seeds: seeds) }
        // Below `small` the models have not been trained: a verdict would say nothing.
        claims = scale == .smoke ? [] : criteria.claims.map { $0.judge(measurements, seeds: seeds) }
    }

    public var gatesPassed: Bool { gates.allSatisfy(\.passed) }

    /// Whether every gate held and every judged claim was shown.
    public var allCriteriaMet: Bool { gatesPassed && claims.allSatisfy { $0.verdict == .shown } }

    public static func load(_ url: URL) throws -> Report { try decode(Data(contentsOf: url)) }

    /// Reads what ``json()`` wrote. Throws `DecodingError`.
    public static func decode(_ json: Data) throws -> Report { try decoder.decode(Report.self, from: json) }

    public func json() throws -> Data { try Self.encoder.encode(self) }

    /// JSON with numbers that are not finite as text, and times by ISO 8601.
    package static var decoder: JSONDecoder {
        let decoder: JSONDecoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }

    package static var encoder: JSONEncoder {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }
}
