import Torch

/// Another way to average gradients over the ranks than a plain all-reduce, for instance a compressed one.
public protocol GradientExchange: AnyObject {
    /// The mean over the ranks, or what stands for it; the same on every rank.
    /// - Parameters:
    ///   - gradients: this rank's, always of the same parameters in the same order.
    ///   - group: the ranks.
    /// - Throws: ``DistributedError``.
    func average(_ gradients: [Tensor], over group: ProcessGroup) throws -> [Tensor]

    /// What a run that is resumed needs to go on as if it had not been stopped; empty by default.
    var state: GradientExchangeState { get }

    /// Takes what a checkpoint holds, before the first call of ``average(_:over:)``.
    /// - Throws: `ConfigurationError` for the state of another exchange.
    func load(_ state: GradientExchangeState) throws
}

extension GradientExchange {
    public var state: GradientExchangeState { GradientExchangeState() }
    public func load(_ state: GradientExchangeState) throws {}
}

/// What an exchange carries from step to step.
public struct GradientExchangeState {
    /// Kept as rank 0 has it, and given to all ranks.
    public var shared: [String: Tensor]
    /// Of this rank alone, shaped alike on all ranks. Where another number of ranks goes on, each gets the mean of all, so that the mean of what has not
    /// been sent yet stays the same.
    public var own: [String: Tensor]

    public init(shared: [String: Tensor] = [:], own: [String: Tensor] = [:]) { (self.shared, self.own) = (shared, own) }

    // MARK: In a checkpoint

    private static let sharedPrefix: String = "shared."
    private static func prefix(rank: Int) -> String { "rank\(rank)." }

    /// The states of all ranks as one, on rank 0; to be called on all ranks.
    /// - Throws: ``DistributedError``.
    func gathered(by group: ProcessGroup) throws -> [String: Tensor] {
        var all: [String: Tensor] = Dictionary(uniqueKeysWithValues: shared.map { (Self.sharedPrefix + $0, $1) })
        for (name, tensor) in own { all[Self.prefix(rank: 0) + name] = tensor }
        for name in own.keys.sorted() {
            let tensor: Tensor = noGrad { own[name]!.to(device: .cpu).contiguous() }
            if group.rank > 0 { try group.send(tensor, to: 0) }
            guard group.rank == 0 else { continue }
            for peer in 1..<group.worldSize {
                let received: Tensor = tensor.zerosLike()
                try group.receive(into: received, from: peer)
                all[Self.prefix(rank: peer) + name] = received
            }
        }
        return all
    }

    /// This rank's part of what ``gathered(by:)`` gave, for a group of any size.
    init(_ all: [String: Tensor], for group: ProcessGroup) {
        self.init(shared: all.below(Self.sharedPrefix))
        var ranks: [[String: Tensor]] = []
        while case let next = all.below(Self.prefix(rank: ranks.count)), !next.isEmpty { ranks.append(next) }
        guard let first = ranks.first else { return }
        if ranks.count == group.worldSize {
            own = ranks[group.rank]
        } else {
            own = Dictionary(uniqueKeysWithValues: first.keys.map { name in (name, Self.mean(ranks.compactMap { $0[name] })) })
        }
    }

    private static func mean(_ tensors: [Tensor]) -> Tensor {
        noGrad { tensors.dropFirst().reduce(tensors[0]) { $0 + $1 } / Double(tensors.count) }
    }
}

extension Dictionary where Key == String {
    /// What is called by names that begin with a prefix, without it.
    package func below(_ prefix: String) -> Self {
        Self(uniqueKeysWithValues: filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
    }
}
