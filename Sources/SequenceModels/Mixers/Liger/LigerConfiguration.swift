import Torch

/// Which gated recurrence takes the place of softmax attention; its gates come from the projected keys.
public enum LigerGate: Sendable, Hashable, RawRepresentable, Codable {
    /// Gated linear attention, a decay for each key channel.
    case gla
    /// HGRN2: the gates are the complements of the keys.
    case hgrn2
    /// Gated slot attention with this many slots a head.
    case gsa(slots: Int)
    /// One decay for a head.
    case scalar
    /// Nothing is forgotten: the ablation of the gate.
    case none
    /// A decay for each key channel by a projection of its own, which starts at random: what the method does without.
    case learned

    /// `gla`, `hgrn2`, `gsa` (64 slots) or `gsa:SLOTS`, `scalar`, `none`, `learned`.
    public init?(rawValue: String) {
        let parts: [Substring] = rawValue.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("gla", 1): self = .gla
        case ("hgrn2", 1): self = .hgrn2
        case ("scalar", 1): self = .scalar
        case ("none", 1): self = .none
        case ("learned", 1): self = .learned
        case ("gsa", 1): self = .gsa(slots: 64)
        case ("gsa", 2):
            guard let slots = Int(parts[1]), (1...4096).contains(slots) else { return nil }
            self = .gsa(slots: slots)
        default: return nil
        }
    }

    public var rawValue: String {
        switch self {
        case .gla: "gla"
        case .hgrn2: "hgrn2"
        case .gsa(let slots): "gsa:\(slots)"
        case .scalar: "scalar"
        case .none: "none"
        case .learned: "learned"
        }
    }
}

/// How a ``LigerAttention`` computes with the projections that it is given.
public struct LigerConfiguration: Codable, Sendable, Hashable {
    public var gate: LigerGate
    /// Tokens that the window attention sees, the current one included.
    public var window: Int
    /// Share of the window attention in the output, the rest being the recurrence's: 0 is the recurrence alone, 1 the window alone.
    public var mix: Double

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(gate: LigerGate = .gla, window: Int = 64, mix: Double = 0.5) throws {
        self.gate = gate
        self.window = window
        self.mix = mix
        try validate()
    }

    func validate() throws {
        if window < 1 { throw ConfigurationError("the window is \(window); it has to be at least 1") }
        if !(0...1).contains(mix) { throw ConfigurationError("the share of the window attention is \(mix); it has to lie in 0 ... 1") }
    }

    var usesRecurrence: Bool { mix < 1 }
    var usesWindow: Bool { mix > 0 }
}
