import NN
import Torch

extension MixerConfiguration {
    /// Builds the mixer for a residual stream of the given width.
    /// - Throws: `ConfigurationError` where the heads do not divide the channels, or an option does not fit the mixer.
    public func make(dimensions: Int) throws -> any SequenceMixer {
        try validate(dimensions: dimensions)
        switch kind {
        case .gla:
            return GatedLinearAttention(
                GatedLinearAttentionConfiguration(
                    dimensions: dimensions, heads: heads, expandKey: expandKey ?? 0.5, expandValue: expandValue ?? 1,
                    useOutputGate: outputGate ?? true, convolutionWidth: width(default: nil)))
        case .deltanet:
            return DeltaNet(
                DeltaNetConfiguration(
                    dimensions: dimensions, heads: heads, expandKey: expandKey ?? 1, expandValue: expandValue ?? 1,
                    convolutionWidth: width(default: 4), useGate: outputGate ?? false))
        case .lssl:
            return LSSL(try LSSLConfiguration(features: dimensions, order: order ?? 64))
        case .softmax:
            return SoftmaxAttention(dimensions: dimensions, heads: heads, window: window, rotaryTheta: rotary ?? true ? 10_000 : nil)
        case .linear:
            return LinearAttention(
                dimensions: dimensions, heads: heads, expandKey: expandKey ?? 1, expandValue: expandValue ?? 1,
                rotaryTheta: rotary ?? true ? 10_000 : nil, convolutionWidth: width(default: nil))
        case .retention:
            return LinearAttention(
                dimensions: dimensions, heads: heads, decay: .retention, expandKey: expandKey ?? 1, expandValue: expandValue ?? 1,
                rotaryTheta: rotary ?? true ? 10_000 : nil, convolutionWidth: width(default: nil))
        case .normAttention:
            return NormAttention(
                dimensions: dimensions, heads: heads, featureMap: (variant ?? .t1).featureMap, position: position(dimensions))
        case .diagAttention:
            return DiagAttention(
                dimensions: dimensions, heads: heads, block: window ?? 64, activation: (variant ?? .t1).blockActivation,
                position: position(dimensions))
        case .scaledLinear:
            return ScaledLinearAttention(dimensions: dimensions, heads: heads, position: position(dimensions))
        case .lightnet:
            return LightNetAttention(
                LightNetConfiguration(
                    dimensions: dimensions, heads: heads, expandKey: expandKey ?? 1,
                    position: rotary.map { $0 ? .rotary : .none } ?? .multiDimensional))
        }
    }

    private func position(_ dimensions: Int) -> LRPE? { rotary ?? true ? LRPE(dimensions / heads) : nil }

    private func width(default standard: Int?) -> Int? {
        guard let convolution else { return standard }
        return convolution == 0 ? nil : convolution
    }

    private var keyExpansion: Double { expandKey ?? (kind == .gla ? 0.5 : 1) }

    private var rotates: Bool {
        switch kind {
        case .softmax, .linear, .retention, .normAttention, .diagAttention, .scaledLinear: rotary ?? true
        case .lightnet: rotary ?? false
        case .gla, .deltanet, .lssl: false
        }
    }

    private func validate(dimensions: Int) throws {
        if heads < 1 { throw ConfigurationError("mixer.heads is \(heads); it has to be at least 1") }
        for (name, factor) in [("key", keyExpansion), ("value", expandValue ?? 1)] {
            let channels: Int = Int(Double(dimensions) * factor)
            guard channels > 0, channels % heads == 0 else {
                throw ConfigurationError(
                    "\(kind.rawValue) has \(channels) \(name) channels (\(dimensions) × \(factor)); \(heads) heads have to divide them")
            }
        }
        let counts: [(String, Int?, Int)] = [("window", window, 1), ("order", order, 1), ("convolution", convolution, 0)]
        for case (let name, let value?, let least) in counts where value < least {
            throw ConfigurationError("mixer.\(name) is \(value); it has to be at least \(least)")
        }
        if rotates, Int(Double(dimensions) * ([.linear, .retention, .lightnet].contains(kind) ? keyExpansion : 1)) / heads % 2 != 0 {
            throw ConfigurationError(
                "rotary embedding needs an even key width per head; \(dimensions) dimensions and \(heads) heads do not give one")
        }
    }
}
