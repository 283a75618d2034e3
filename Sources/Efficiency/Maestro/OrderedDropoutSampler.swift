import NN
import Torch
import Training

/// How many components some layers of a model use in one pass; all others use what has survived.
public struct OrderedWidth: Sendable, Equatable {
    /// By the layer's dotted path.
    public let widths: [String: Int]

    public init(_ widths: [String: Int]) { self.widths = widths }

    /// The same share of the surviving components in every layer of a model, rounded up.
    /// - Parameters:
    ///   - share: `0 ... 1`.
    ///   - model: with ``MaestroLayer``s.
    public init(share: Double, of model: Module) {
        widths = Dictionary(
            uniqueKeysWithValues: Maestro.layers(of: model).map { path, layer in
                (path, Int((share * Double(layer.activeRank)).rounded(.up)))
            })
    }
}

extension UnaryLayer {
    /// One pass with fewer components in some layers; nil uses all that have survived.
    public func callAsFunction(_ x: Tensor, width: OrderedWidth?) -> Tensor { Maestro.with(width, in: self) { self(x) } }
}

/// Generalised ordered dropout: draws the widths of one training step after the other (Horváth et al., 2023, section 4).
///
/// Make a new one when ``Maestro/shrink(_:threshold:)`` has changed the ranks.
public struct OrderedDropoutSampler: Sendable {
    /// Which layers are cut at a time.
    public enum Kind: Codable, Sendable, Equatable {
        /// One layer; each pair of a layer and a width comes once in a sweep, in random order. This is Maestro's.
        case singleLayer
        /// Every layer, to a width of its own.
        case independent
        /// Every layer, always to this share of its components (Wang et al., *Pufferfish*, 2021).
        case pufferfish(share: Double)
    }

    public let kind: Kind
    private let ranks: [(path: String, rank: Int)]
    private var generator: SplitMix64
    private var waiting: [(path: String, width: Int)] = []

    /// - Parameters:
    ///   - kind: which layers are cut at a time.
    ///   - model: whose ``MaestroLayer``s are sampled, at the ranks that they have now.
    ///   - seed: of the order.
    public init(_ kind: Kind = .singleLayer, for model: Module, seed: UInt64) {
        self.kind = kind
        ranks = Maestro.layers(of: model).map { ($0.path, $0.layer.activeRank) }.filter { $0.1 > 0 }
        generator = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15)
    }

    /// Steps in which ``Kind/singleLayer`` visits every pair once.
    public var sweepLength: Int { ranks.reduce(0) { $0 + $1.rank } }

    /// The widths of the next step.
    public mutating func next() -> OrderedWidth {
        switch kind {
        case .singleLayer:
            if waiting.isEmpty { waiting = ranks.flatMap { path, rank in (1...rank).map { (path, $0) } }.shuffled(using: &generator) }
            guard let drawn = waiting.popLast() else { return OrderedWidth([:]) }
            return OrderedWidth([drawn.path: drawn.width])
        case .independent:
            var widths: [String: Int] = [:]
            for (path, rank) in ranks { widths[path] = 1 + Int(generator.next(below: UInt64(rank))) }
            return OrderedWidth(widths)
        case .pufferfish(let share):
            return OrderedWidth(Dictionary(uniqueKeysWithValues: ranks.map { ($0.path, max(1, Int((share * Double($0.rank)).rounded()))) }))
        }
    }
}
