import Torch

/// The choice of a gradient compression with its settings, for the command line and recipes: `{"powersgd": {"reference": 4, "alpha": 1.2}}`.
///
/// All methods have the same settings; a method without any has its defaults.
public struct GradientCompressionConfiguration: Decodable, Sendable, Equatable {
    public enum Method: String, CodingKey, Sendable, CaseIterable {
        case powersgd, topk, quantization

        /// The setting that all layers would share: a rank, a density, or bits.
        var reference: Double {
            switch self {
            case .powersgd, .quantization: 4
            case .topk: 0.01
            }
        }
    }

    /// The names that the command line knows.
    public static var names: [String] { Method.allCases.map(\.rawValue) }

    public let method: Method
    public var settings: Settings

    public struct Settings: Decodable, Sendable, Equatable {
        /// A rank, a density or bits; nil is the method's default.
        public var reference: Double?
        /// As in ``LGreCo/init(compressor:reference:alpha:frequency:startIteration:layerwise:accordion:bins:)``.
        public var alpha: Double = 1
        public var frequency: Int = 100
        public var start: Int = 10
        public var layerwise: Bool = true
        /// The stronger of Accordion's two references, `reference` being the gentler; nil stays at `reference`.
        public var strong: Double?
        /// Elements that share a scale, of `quantization`.
        public var bucket: Int = 1024

        private enum CodingKeys: String, CodingKey, CaseIterable { case reference, alpha, frequency, start, layerwise, strong, bucket }

        public init() {}

        public init(from decoder: any Decoder) throws {
            let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "gradient compression")
            try fields.read(.reference, into: &reference)
            try fields.read(.alpha, into: &alpha)
            try fields.read(.frequency, into: &frequency)
            try fields.read(.start, into: &start)
            try fields.read(.layerwise, into: &layerwise)
            try fields.read(.strong, into: &strong)
            try fields.read(.bucket, into: &bucket)
        }
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(_ method: Method, _ settings: Settings = Settings()) throws {
        (self.method, self.settings) = (method, settings)
        try validate()
    }

    /// - Throws: `ConfigurationError` unless exactly one known method is named, and for its settings.
    public init(from decoder: any Decoder) throws {
        _ = try ConfigurationFields<Method>(decoder, of: "gradient compression")
        let container: KeyedDecodingContainer<Method> = try decoder.container(keyedBy: Method.self)
        guard let method = container.allKeys.first, container.allKeys.count == 1 else {
            throw ConfigurationError("gradient compression: \(container.allKeys.count) methods are named; name one")
        }
        try self.init(method, try container.decode(Settings.self, forKey: method))
    }

    private func validate() throws {
        for (value, name) in [(settings.reference, "reference"), (settings.strong, "strong")] {
            if let value { try check(value, name) }
        }
        try checkPositive(settings.alpha, "alpha")
        try checkPositive(Double(settings.frequency), "frequency")
        try checkPositive(Double(settings.bucket), "bucket")
        if settings.start < 0 { throw ConfigurationError("start is \(settings.start); it has to be at least 0") }
    }

    private func check(_ value: Double, _ name: String) throws {
        let isWhole: Bool = value == value.rounded()
        switch method {
        case .powersgd where isWhole && value >= 1, .topk where value > 0 && value <= 1,
            .quantization where isWhole && (2...8).contains(value):
            return
        case .powersgd: throw ConfigurationError("powersgd: \(name) is \(value); it is a rank, a whole number of at least 1")
        case .topk: throw ConfigurationError("topk: \(name) is \(value); it is a density, above 0 and at most 1")
        case .quantization: throw ConfigurationError("quantization: \(name) is \(value); it is a number of bits, from 2 to 8")
        }
    }

    /// The exchange of one rank.
    /// - Parameters:
    ///   - rank: of the process.
    ///   - seed: of what the method draws, the same on all ranks.
    public func makeExchange(rank: Int, seed: UInt64) -> LGreCo {
        let compressor: any GradientCompressor =
            switch method {
            case .powersgd: PowerSGDCompressor(seed: seed)
            case .topk: TopKCompressor()
            // Rounding has to differ between ranks, so that its errors cancel.
            case .quantization: QuantizationCompressor(bucket: settings.bucket, seed: seed &* 65_537 &+ UInt64(rank))
            }
        let reference: Double = settings.reference ?? method.reference
        return LGreCo(
            compressor: compressor, reference: reference, alpha: settings.alpha, frequency: settings.frequency,
            startIteration: settings.start, layerwise: settings.layerwise,
            accordion: settings.strong.map { Accordion(strong: $0, gentle: reference) })
    }
}
