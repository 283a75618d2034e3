import Torch

/// The choice of an optimizer with its settings, for recipes: `{"adamw": {"learningRate": 3e-4}}`.
public enum OptimizerConfiguration: Codable, Sendable, Equatable {
    case sgd(SGDConfiguration)
    case adam(AdamConfiguration)
    case adamw(AdamWConfiguration)
    case adafactor(AdafactorConfiguration)
    case lion(LionConfiguration)
    case rmsprop(RMSpropConfiguration)
    case adagrad(AdagradConfiguration)
    case kar(KarConfiguration)
    indirect case galore(GaLoreConfiguration)
    indirect case dctAdamW(DCTAdamWConfiguration)
    indirect case trion(TrionConfiguration)
    indirect case lamb(LAMBConfiguration)
    indirect case lars(LARSConfiguration)

    /// - Throws: `ConfigurationError` as the optimizer's own initialiser.
    public func makeOptimizer(groups: [ParameterGroup]) throws -> any Optimizer {
        try rule.makeOptimizer(groups)
    }

    /// The chosen optimizer's settings.
    public var rule: any UpdateRule {
        switch self {
        case .sgd(let rule): rule
        case .adam(let rule): rule
        case .adamw(let rule): rule
        case .adafactor(let rule): rule
        case .lion(let rule): rule
        case .rmsprop(let rule): rule
        case .adagrad(let rule): rule
        case .kar(let rule): rule
        case .galore(let rule): rule
        case .dctAdamW(let rule): rule
        case .trion(let rule): rule
        case .lamb(let rule): rule
        case .lars(let rule): rule
        }
    }

    /// The names that recipes know, in the order of the cases.
    public static var names: [String] { CodingKeys.allCases.map(\.rawValue) }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case sgd, adam, adamw, adafactor, lion, rmsprop, adagrad, kar, galore, dctAdamW, trion, lamb, lars
    }

    private var key: CodingKeys {
        switch self {
        case .sgd: .sgd
        case .adam: .adam
        case .adamw: .adamw
        case .adafactor: .adafactor
        case .lion: .lion
        case .rmsprop: .rmsprop
        case .adagrad: .adagrad
        case .kar: .kar
        case .galore: .galore
        case .dctAdamW: .dctAdamW
        case .trion: .trion
        case .lamb: .lamb
        case .lars: .lars
        }
    }

    /// - Throws: `ConfigurationError` unless exactly one known optimizer is named, and for its settings.
    public init(from decoder: any Decoder) throws {
        _ = try ConfigurationFields<CodingKeys>(decoder, of: "optimizer")
        let container: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        guard let key = container.allKeys.first, container.allKeys.count == 1 else {
            throw ConfigurationError("optimizer: \(container.allKeys.count) optimizers are named; name one")
        }
        switch key {
        case .sgd: self = .sgd(try container.decode(SGDConfiguration.self, forKey: key))
        case .adam: self = .adam(try container.decode(AdamConfiguration.self, forKey: key))
        case .adamw: self = .adamw(try container.decode(AdamWConfiguration.self, forKey: key))
        case .adafactor: self = .adafactor(try container.decode(AdafactorConfiguration.self, forKey: key))
        case .lion: self = .lion(try container.decode(LionConfiguration.self, forKey: key))
        case .rmsprop: self = .rmsprop(try container.decode(RMSpropConfiguration.self, forKey: key))
        case .adagrad: self = .adagrad(try container.decode(AdagradConfiguration.self, forKey: key))
        case .kar: self = .kar(try container.decode(KarConfiguration.self, forKey: key))
        case .galore: self = .galore(try container.decode(GaLoreConfiguration.self, forKey: key))
        case .dctAdamW: self = .dctAdamW(try container.decode(DCTAdamWConfiguration.self, forKey: key))
        case .trion: self = .trion(try container.decode(TrionConfiguration.self, forKey: key))
        case .lamb: self = .lamb(try container.decode(LAMBConfiguration.self, forKey: key))
        case .lars: self = .lars(try container.decode(LARSConfiguration.self, forKey: key))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rule, forKey: key)
    }
}

extension UpdateRule {
    fileprivate func makeOptimizer(_ groups: [ParameterGroup]) throws -> any Optimizer {
        try FusedOptimizer<Self>(groups: groups, configuration: self)
    }
}
