import Foundation
import Training

/// The outcome of an experiment, as it is kept under `results/`.
public struct Report: Codable, Sendable {
    public let slug: String
    public let summary: String
    public let scale: Scale
    public let seeds: [UInt64]
    public let started: Date
    public let seconds: Double
    public let environment: [String: String]
    public let measurements: Measurements
    public let gates: [GateResult]
    public let claims: [ClaimResult]

    public init(
        slug: String, summary: String, scale: Scale, seeds: [UInt64], started: Date, seconds: Double, measurements: Measurements,
        criteria: Criteria
    ) {
        self.slug = slug
        self.summary = summary
        self.scale = scale
        self.seeds = seeds
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
    public static func decode(_ json: Data) throws -> Report {
        let decoder: JSONDecoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try decoder.decode(Report.self, from: json)
    }

    public func json() throws -> Data {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try encoder.encode(self)
    }
}
