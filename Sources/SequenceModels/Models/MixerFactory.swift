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
        case .gatedDeltanet:
            return GatedDeltaNet(
                GatedDeltaNetConfiguration(
                    dimensions: dimensions, heads: heads, headDimensions: headWidth(expandKey, dimensions),
                    valueHeadDimensions: headWidth(expandValue, dimensions), convolutionWidth: width(default: 4),
                    useGate: outputGate ?? true))
        case .hgrn:
            return HGRN(dimensions: dimensions, expand: expandValue ?? 1)
        case .mom:
            return MixtureOfMemories(
                MixtureOfMemoriesConfiguration(
                    dimensions: dimensions, heads: heads, headDimensions: headWidth(expandKey, dimensions),
                    valueHeadDimensions: headWidth(expandValue, dimensions), memories: memories ?? 4, topK: activeMemories ?? 2,
                    sharedMemory: sharedMemory ?? true, backend: memoryBackend ?? .gatedDelta, convolutionWidth: width(default: 4),
                    useOutputGate: outputGate ?? true))
        case .lssl:
            return LSSL(try LSSLConfiguration(features: dimensions, order: order ?? 64))
        case .softmax:
            return SoftmaxAttention(dimensions: dimensions, heads: heads, window: window, rotaryTheta: rotary ?? true ? 10_000 : nil)
        case .linear:
            return LinearAttention(
                dimensions: dimensions, heads: heads, expandKey: expandKey ?? 1, expandValue: expandValue ?? 1,
                rotaryTheta: rotary ?? true ? 10_000 : nil, convolutionWidth: width(default: nil))
        case .liger:
            return LigerAttention(
                dimensions: dimensions, heads: heads, rotaryTheta: rotary ?? true ? 10_000 : nil,
                try LigerConfiguration(window: window ?? 64))
        case .mamba:
            return SelectiveSSM(
                dim: dimensions, state: order ?? 16, conv: width(default: 4) ?? 1, expand: expandValue ?? 2)
        case .retention:
            return LinearAttention(
                dimensions: dimensions, heads: heads, decay: .retention, expandKey: expandKey ?? 1, expandValue: expandValue ?? 1,
                rotaryTheta: rotary ?? true ? 10_000 : nil, convolutionWidth: width(default: nil))
        case .simplifiedLinear:
            return SimplifiedLinearAttention(dimensions: dimensions, heads: heads, kernel: width(default: 5).map { Pair(1, $0) })
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

    /// Channels of one head, where all together have `expansion` (1 unless given) times the model's width.
    private func headWidth(_ expansion: Double?, _ dimensions: Int) -> Int { Int(Double(dimensions) * (expansion ?? 1)) / heads }

    private var keyExpansion: Double { expandKey ?? (kind == .gla ? 0.5 : 1) }

    private var rotates: Bool {
        switch kind {
        case .softmax, .linear, .retention, .liger, .normAttention, .diagAttention, .scaledLinear: rotary ?? true
        case .lightnet: rotary ?? false
        case .gla, .deltanet, .gatedDeltanet, .hgrn, .mom, .lssl, .mamba, .simplifiedLinear: false
        }
    }

    /// Whether the keys that are rotated have ``expandKey`` times the model's width.
    private var expandsRotatedKeys: Bool { [.linear, .retention, .lightnet].contains(kind) }

    private func validate(dimensions: Int) throws {
        if heads < 1 { throw ConfigurationError("mixer.heads is \(heads); it has to be at least 1") }
        for (name, factor) in [("key", keyExpansion), ("value", expandValue ?? 1)] {
            let channels: Int = Int(Double(dimensions) * factor)
            guard channels > 0, kind == .mamba || channels % heads == 0 else {
                throw ConfigurationError(
                    "\(kind.rawValue) has \(channels) \(name) channels (\(dimensions) × \(factor)); \(heads) heads have to divide them")
            }
        }
        let counts: [(String, Int?, Int)] = [
            ("window", window, 1), ("order", order, 1), ("convolution", convolution, 0),
            ("memories", memories, 1), ("activeMemories", activeMemories, 1),
        ]
        for case (let name, let value?, let least) in counts where value < least {
            throw ConfigurationError("mixer.\(name) is \(value); it has to be at least \(least)")
        }
        if kind == .mom, activeMemories ?? 2 > memories ?? 4 {
            throw ConfigurationError("a token cannot go to \(activeMemories ?? 2) of \(memories ?? 4) memories")
        }
        if kind == .simplifiedLinear, let convolution, convolution != 0, convolution % 2 == 0 {
            throw ConfigurationError("mixer.convolution is \(convolution); simplified linear attention needs an odd width, or 0 for none")
        }
        if rotates, Int(Double(dimensions) * (expandsRotatedKeys ? keyExpansion : 1)) / heads % 2 != 0 {
            throw ConfigurationError(
                "rotary embedding needs an even key width per head; \(dimensions) dimensions and \(heads) heads do not give one")
        }
    }
}
