import Optim
import Torch

/// An optimizer whose state is spread over the ranks of a group, so that a step has a second, collective half.
public protocol ShardedOptimizer: Optimizer {
    /// Gives every rank the parameters that the others have updated; to be called on all ranks after each step.
    /// - Throws: ``DistributedError``.
    func synchronize() throws

    /// The whole state, as an optimizer that is not sharded would have it; to be called on all ranks.
    /// - Throws: ``DistributedError``.
    func gatheredState() throws -> (tensors: [String: Tensor], scalars: OptimizerScalars)
}

extension Optimizer {
    /// The state as an optimizer that is not sharded has it; of a ``ShardedOptimizer`` to be called on all its ranks.
    /// - Throws: ``DistributedError``.
    public func wholeState() throws -> (tensors: [String: Tensor], scalars: OptimizerScalars) {
        try (self as? any ShardedOptimizer)?.gatheredState() ?? (stateTensors(), scalarState)
    }
}

/// Keeps the state of each parameter on one rank only (stage 1 of ZeRO, Rajbhandari et al., 2020, section 5.1): that rank updates the parameter and
/// sends it to the others. With P ranks a rank holds about 1/P of the state's bytes; the numbers are those of the optimizer that is not sharded.
///
/// Parameters are given out whole, the largest first and each to the rank that has least. ``stateTensors()`` is this rank's part;
/// ``gatheredState()`` is the whole, which any number of ranks can load again.
public final class ZeroRedundancyOptimizer<Rule: UpdateRule>: ShardedOptimizer, PieceOptimizer {
    public typealias Configuration = Rule

    private let group: ProcessGroup
    private let base: FusedOptimizer<Rule>
    /// All parameters in the order of the gradients, with names and owners.
    private let entries: [(name: String, tensor: Tensor, owner: Int)]
    private var all: [ParameterGroup]

    public var configuration: Rule { base.configuration }

    public var learningRate: Double {
        get { base.learningRate }
        set { base.learningRate = newValue }
    }

    public var pieceSums: PieceSums? {
        get { base.pieceSums }
        set { base.pieceSums = newValue }
    }

    /// The groups of all parameters, on every rank.
    public var parameterGroups: [ParameterGroup] {
        get { all }
        set {
            let owned: [ParameterGroup] = Self.owned(newValue, by: group.rank, owners: entries.map(\.owner))
            base.parameterGroups = owned
            all = newValue
        }
    }

    /// Of one rank, which owns everything.
    public convenience init(groups: [ParameterGroup], configuration: Rule) throws {
        try self.init(groups: groups, configuration: configuration, group: .single)
    }

    /// - Parameters:
    ///   - groups: of all parameters, the same on every rank.
    ///   - configuration: of the rule.
    ///   - group: the ranks.
    /// - Throws: `ConfigurationError` as the optimizer that is not sharded.
    public init(groups: [ParameterGroup], configuration: Rule, group: ProcessGroup) throws {
        // Made for its checks: names and parameters are unique over all ranks.
        _ = try FusedOptimizer<Rule>(groups: groups, configuration: configuration)
        self.group = group
        let named: [ParameterGroup] = Self.named(groups)
        let parameters: [Tensor] = named.flatMap(\.parameters)
        let owners: [Int] = Self.owners(parameters.map(\.byteCount), ranks: group.worldSize)
        let names: [String] = named.flatMap { $0.names ?? [] }
        entries = zip(zip(names, parameters), owners).map { ($0.0, $0.1, $1) }
        base = try FusedOptimizer<Rule>(groups: Self.owned(named, by: group.rank, owners: owners), configuration: configuration)
        all = named
    }

    /// Updates the parameters of this rank; ``synchronize()`` brings those of the others.
    public func step(_ gradients: [Tensor?], learningRateFactor: Double) {
        precondition(gradients.count == entries.count, "\(gradients.count) gradients for \(entries.count) parameters")
        base.step(zip(gradients, entries).filter { $1.owner == group.rank }.map(\.0), learningRateFactor: learningRateFactor)
    }

    public func synchronize() throws {
        guard group.worldSize > 1 else { return }
        let works: [() throws -> Void] = try (0..<group.worldSize).flatMap { try startBroadcasts(of: $0) }
        for finish in works { try finish() }
    }

    /// One flat tensor an owner and dtype; the closures wait and write into the parameters.
    private func startBroadcasts(of owner: Int) throws -> [() throws -> Void] {
        let owned: [Tensor] = entries.filter { $0.owner == owner }.map { $0.tensor.detached() }
        let byType: [DType: [Tensor]] = Dictionary(grouping: owned, by: \.dtype)
        return try byType.sorted { $0.key.rawValue < $1.key.rawValue }.map { _, tensors in
            try noGrad {
                let flat: Tensor = concatenated(tensors.map { $0.reshaped([$0.count]) }).to(device: .cpu)
                let work: CollectiveWork = try group.startBroadcast(flat, from: owner)
                let isOwn: Bool = owner == group.rank
                return {
                    try work.wait()
                    if isOwn { return }
                    noGrad {
                        for (tensor, part) in zip(tensors, flat.split(sizes: tensors.map(\.count))) {
                            tensor.copy_(from: part.reshaped(tensor.shape))
                        }
                    }
                }
            }
        }
    }

    // MARK: State

    public func stateTensors() -> [String: Tensor] { base.stateTensors() }

    public var scalarState: OptimizerScalars { base.scalarState }

    public func gatheredState() throws -> (tensors: [String: Tensor], scalars: OptimizerScalars) {
        if group.worldSize == 1 { return (base.stateTensors(), base.scalarState) }
        let own: OptimizerScalars = base.scalarState
        let counts: Tensor = Tensor(entries.map { Int64(own.stepCounts[$0.name] ?? 0) }, device: .cpu)
        try group.allReduce(counts, .maximum)
        let steps: [Int64] = counts.array(Int64.self)
        let held: [String: Tensor] = base.stateTensors()
        var tensors: [String: Tensor] = [:]
        for (entry, count) in zip(entries, steps) where count > 0 {
            let like: Tensor = entry.tensor.detached().asType(entry.tensor.dtype == .float64 ? .float64 : .float32)
            let rule: any UpdateRule = configuration.rule(for: entry.name, shape: like.shape)
            for state in rule.stateNames(shape: like.shape) {
                let name: String = "\(entry.name).\(state)"
                let tensor: Tensor = noGrad { (held[name] ?? rule.initialState(state, of: like)).to(device: .cpu).contiguous() }
                try group.broadcast(tensor, from: entry.owner)
                tensors[name] = tensor
            }
        }
        let known: [(String, Int)] = zip(entries, steps).filter { $1 > 0 }.map { ($0.name, Int($1)) }
        return (tensors, OptimizerScalars(learningRate: own.learningRate, stepCounts: Dictionary(uniqueKeysWithValues: known)))
    }

    /// Takes this rank's part of a whole state.
    public func loadState(_ tensors: [String: Tensor], scalars: OptimizerScalars) throws {
        let names: Set<String> = Set(entries.map(\.name))
        if let stranger = scalars.stepCounts.keys.sorted().first(where: { !names.contains($0) }) {
            throw ConfigurationError("the state is of another model: the optimizer has no parameter \"\(stranger)\"")
        }
        let own: Set<String> = Set(entries.filter { $0.owner == group.rank }.map(\.name))
        let part: [String: Tensor] = tensors.filter { name, _ in own.contains(String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])) }
        try base.loadState(
            part,
            scalars: OptimizerScalars(
                learningRate: scalars.learningRate, stepCounts: scalars.stepCounts.filter { own.contains($0.key) }))
    }

    // MARK: Who owns what

    /// The rank of each parameter: the largest first, each to the rank with the fewest bytes.
    static func owners(_ bytes: [Int], ranks: Int) -> [Int] {
        var loads: [Int] = Array(repeating: 0, count: ranks)
        var owners: [Int] = Array(repeating: 0, count: bytes.count)
        for index in bytes.indices.sorted(by: { (bytes[$0], $1) > (bytes[$1], $0) }) {
            let least: Int = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) }!
            owners[index] = least
            loads[least] += bytes[index]
        }
        return owners
    }

    /// Groups in which every parameter has the name that the whole optimizer would give it.
    private static func named(_ groups: [ParameterGroup]) -> [ParameterGroup] {
        var number: Int = 0
        return groups.map { group in
            defer { number += group.parameters.count }
            return replacing(
                group, parameters: group.parameters, names: group.names ?? group.parameters.indices.map { String(number + $0) })
        }
    }

    private static func owned(_ groups: [ParameterGroup], by rank: Int, owners: [Int]) -> [ParameterGroup] {
        var number: Int = 0
        return groups.map { group in
            let mine: [Int] = group.parameters.indices.filter { owners[number + $0] == rank }
            number += group.parameters.count
            return replacing(
                group, parameters: mine.map { group.parameters[$0] }, names: group.names.map { names in mine.map { names[$0] } })
        }
    }

    private static func replacing(_ group: ParameterGroup, parameters: [Tensor], names: [String]?) -> ParameterGroup {
        ParameterGroup(
            parameters: parameters, names: names, learningRate: group.learningRate, learningRateMultiplier: group.learningRateMultiplier,
            weightDecay: group.weightDecay)
    }
}
