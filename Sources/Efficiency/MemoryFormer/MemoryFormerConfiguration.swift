import SequenceModels
import Torch

/// The shape of a ``MemoryFormer``.
public struct MemoryFormerConfiguration: Codable, Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var heads: Int
    /// τ, signs in a code; divides the dimensions.
    public var bits: Int
    /// Signs that the second lookup of a feed-forward has more: its input is wider by that many channels a table.
    public var extraBits: Int
    public var weighting: MemoryWeighting
    /// Of the probability in the rows' weights.
    public var temperature: Double
    /// Share of a head's channels that are turned by their position.
    public var rotaryFraction: Double
    /// Whether queries, keys and values are hashed after a fixed random projection; the paper does without.
    public var projectsBeforeHashing: Bool

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, layers: Int, heads: Int, bits: Int = 8, extraBits: Int = 2,
        weighting: MemoryWeighting = .scaledProbability, temperature: Double = 1, rotaryFraction: Double = 0.25,
        projectsBeforeHashing: Bool = false
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.layers = layers
        self.heads = heads
        self.bits = bits
        self.extraBits = extraBits
        self.weighting = weighting
        self.temperature = temperature
        self.rotaryFraction = rotaryFraction
        self.projectsBeforeHashing = projectsBeforeHashing
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public func validate() throws {
        let sizes: [(String, Int, ClosedRange<Int>)] = [
            ("vocabularySize", vocabularySize, 1...(1 << 24)), ("dimensions", dimensions, 1...(1 << 16)), ("layers", layers, 1...(1 << 12)),
            ("heads", heads, 1...(1 << 14)), ("bits", bits, 1...MemoryHash.mostBits), ("extraBits", extraBits, 0...MemoryHash.mostBits),
            ("bits + extraBits", bits + extraBits, 1...MemoryHash.mostBits),
        ]
        for (name, value, range) in sizes where !range.contains(value) {
            throw ConfigurationError("\(name) is \(value); it has to lie in \(range.lowerBound) ... \(range.upperBound)")
        }
        for (name, value) in [("heads", heads), ("bits", bits)] where dimensions % value != 0 {
            throw ConfigurationError("dimensions is \(dimensions); \(name), \(value), has to divide it")
        }
        if !(temperature > 0 && temperature.isFinite) { throw ConfigurationError("temperature is \(temperature); it has to be above 0") }
        if !(0...1).contains(rotaryFraction) {
            throw ConfigurationError("rotaryFraction is \(rotaryFraction); it has to lie in 0 ... 1")
        }
    }

    public var headDimensions: Int { dimensions / heads }
    /// K, tables of a layer.
    public var tableCount: Int { dimensions / bits }
    /// Channels of a head that are turned, an even number.
    public var rotaryDimensions: Int { Int(Double(headDimensions) * rotaryFraction) / 2 * 2 }
    /// Channels between the two lookups of a feed-forward, K (τ + extra bits).
    public var hiddenDimensions: Int { tableCount * (bits + extraBits) }

    /// Elements of all parameters.
    public var parameterCount: Int {
        let d: Int = dimensions
        let attention: Int = 3 * ((tableCount << bits) * d + d)
        let first: Int = (tableCount << bits) * hiddenDimensions + 3 * hiddenDimensions
        let second: Int = (tableCount << (bits + extraBits)) * d + d
        return 2 * vocabularySize * d + layers * (attention + first + second + 2 * d) + d
    }
}
