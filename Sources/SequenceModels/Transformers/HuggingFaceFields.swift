import NN
import Torch

/// Limits on what a configuration file may ask for, so that sizes multiply without overflow; far beyond every model there is.
enum TransformerLimits {
    static let vocabulary: Int = 1 << 24
    static let width: Int = 1 << 20
    static let layers: Int = 1 << 12
    static let heads: Int = 1 << 14

    /// - Throws: `ConfigurationError` naming the first size that is below 1 or above its limit.
    static func check(_ sizes: [(name: String, value: Int, most: Int)]) throws {
        for (name, value, most) in sizes where !(1...most).contains(value) {
            throw ConfigurationError("\(name) is \(value); it has to be at least 1" + (most == .max ? "" : " and at most \(most)"))
        }
    }
}

/// The activations by Hugging Face's names.
enum HuggingFaceActivation {
    private static let names: [(name: String, activation: Activation)] = [
        ("silu", .silu), ("swish", .silu), ("gelu", .gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh), ("relu", .relu),
        ("tanh", .tanh),
    ]

    /// - Throws: `ConfigurationError` for another name.
    static func read(_ name: String) throws -> Activation {
        if let found = names.first(where: { $0.name == name }) { return found.activation }
        let known: String = names.map(\.name).joined(separator: ", ")
        throw ConfigurationError("the activation \(name.prefix(40)) is not supported; there are \(known)")
    }

    /// - Throws: `ConfigurationError` where Hugging Face has no name for it.
    static func name(of activation: Activation) throws -> String {
        if let found = names.first(where: { $0.activation == activation }) { return found.name }
        throw ConfigurationError("the activation \(activation.rawValue) has no name in Hugging Face's configurations")
    }
}

/// `rope_scaling`, or the newer `rope_parameters`, of a configuration.
struct RotaryFields: Codable {
    var type: String?
    var olderType: String?
    var theta: Double?
    var factor: Double?
    var lowFrequencyFactor: Double?
    var highFrequencyFactor: Double?
    var originalContext: Int?
    var partialFactor: Double?

    enum CodingKeys: String, CodingKey {
        case type = "rope_type"
        case olderType = "type"
        case theta = "rope_theta"
        case factor
        case lowFrequencyFactor = "low_freq_factor"
        case highFrequencyFactor = "high_freq_factor"
        case originalContext = "original_max_position_embeddings"
        case partialFactor = "partial_rotary_factor"
    }

    init(_ scaling: RotaryScaling) {
        switch scaling {
        case .linear(let factor): (type, self.factor) = ("linear", factor)
        case .llama3(let factor, let low, let high, let context):
            (type, self.factor) = ("llama3", factor)
            (lowFrequencyFactor, highFrequencyFactor, originalContext) = (low, high, context)
        }
    }

    /// - Parameter context: positions of the model, where the fields do not say how many it was trained on.
    /// - Throws: `ConfigurationError` for a kind of scaling that is not known, or one that lacks a number.
    func scaling(context: Int) throws -> RotaryScaling? {
        if let partialFactor, partialFactor != 1 {
            throw ConfigurationError("partial_rotary_factor is \(partialFactor); only 1 is supported")
        }
        switch type ?? olderType ?? "default" {
        case "default": return nil
        case "linear": return .linear(factor: try positive(factor, "factor"))
        case "llama3":
            let low: Double = try positive(lowFrequencyFactor, "low_freq_factor")
            let high: Double = try positive(highFrequencyFactor, "high_freq_factor")
            guard high > low else { throw ConfigurationError("rope_scaling: high_freq_factor has to be above low_freq_factor") }
            let original: Int = originalContext ?? context
            guard original > 0 else { throw ConfigurationError("rope_scaling: original_max_position_embeddings has to be at least 1") }
            return .llama3(
                factor: try positive(factor, "factor"), lowFrequencyFactor: low, highFrequencyFactor: high, originalContext: original)
        case let other:
            throw ConfigurationError("rope_scaling of the type \(other.prefix(40)) is not supported; there are default, linear, llama3")
        }
    }

    private func positive(_ value: Double?, _ name: String) throws -> Double {
        guard let value, value > 0, value.isFinite else { throw ConfigurationError("rope_scaling: \(name) has to be a number above 0") }
        return value
    }
}

/// A token id or a list of them.
struct OneOrMore: Codable {
    let values: [Int]

    init(values: [Int]) { self.values = values }

    init(from decoder: any Decoder) throws {
        let container: any SingleValueDecodingContainer = try decoder.singleValueContainer()
        if let one = try? container.decode(Int.self) { values = [one] } else { values = try container.decode([Int].self) }
    }

    func encode(to encoder: any Encoder) throws {
        var container: any SingleValueEncodingContainer = encoder.singleValueContainer()
        if values.count == 1 { try container.encode(values[0]) } else { try container.encode(values) }
    }
}
