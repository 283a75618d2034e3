import NN
import SequenceModels
import Torch
import Training

/// Makes the shares of a plan's layers and puts them in the layers' places.
final class ShardBuilder {
    private let plan: ShardPlan
    private let group: ProcessGroup
    private(set) var specs: [ParameterPath: ShardSpec]
    private(set) var pairs: [ShardPair] = []
    /// A layer that stands in several places is replaced by one share, and a tensor that several layers hold by one piece.
    private var replaced: [ObjectIdentifier: Module] = [:]
    private var pieces: [ObjectIdentifier: (piece: Tensor, spec: ShardSpec)] = [:]
    /// Pieces of tensors that are not trained.
    private var frozen: [Tensor] = []
    /// What was replaced stays alive, since the tables above know it by its address.
    private var originals: [Module] = []

    init(_ plan: ShardPlan, _ group: ProcessGroup) {
        self.plan = plan
        self.group = group
        specs = plan.specs
    }

    /// Pairs that only a probe can decide on.
    var undecided: [ShardPair] { pairs.filter { !$0.isDeclared && $0.columnLayers.count == $0.columns.count } }

    func replaceAll() {
        for (columns, row) in plan.pairs { replacePair(columns, row) }
        for site in plan.singles { replace(site) { single($0, nil) } }
        // Layers make their tensors trainable when they are constructed.
        for tensor in frozen { tensor.requiringGrad(false) }
    }

    private func replacePair(_ columns: [ShardSite], _ row: ShardSite) {
        let declared: Bool = isDeclared(columns)
        let pair: ShardPair = ShardPair(columns: columns, row: row, isDeclared: declared)
        let shared: SharedInput = SharedInput(group)
        for site in columns {
            let rows: Range<Int>? = declared ? neededRows(of: site) : nil
            let layer: Module = replace(site) { site in
                guard let rows else { return single(site, shared) }
                let spec: ShardSpec = ShardSpec(axis: nil, isTransposed: site.layer is TransposedLinear)
                return ReplicatedOutputLinear(
                    weight: tensor(site, "weight", spec), bias: biasPiece(site, .replicated), group: group, rows: rows, shared: shared)
            }
            if let column = layer as? ColumnParallelLinear { pair.columnLayers.append(column) }
        }
        pair.rowLayer = replace(row) { single($0, shared) } as? RowParallelLinear
        pair.isLocal = declared
        pairs.append(pair)
    }

    /// Whether the parent works with a share of the channels, and the ranks divide its heads.
    private func isDeclared(_ columns: [ShardSite]) -> Bool {
        guard columns[0].parent is any PartitionableLayer else { return false }
        return fitsHeads(columns[0]) && columns.dropFirst().allSatisfy { fitsHeads($0) || neededRows(of: $0) != nil }
    }

    private func heads(of site: ShardSite) -> Int? {
        guard let parent = site.parent as? any PartitionableLayer, let layer = site.layer as? any LinearMap else { return nil }
        let width: Int = parent.channelsKeptTogether(by: site.name) * (plan.specs[site.weightPath]?.parts ?? 1)
        return layer.outputDimensions % width == 0 ? layer.outputDimensions / width : nil
    }

    private func fitsHeads(_ site: ShardSite) -> Bool { heads(of: site).map { $0 % group.worldSize == 0 } ?? false }

    /// Where there are fewer heads than ranks, as of grouped keys and values, and so a rank's queries read a single one: that head's rows.
    private func neededRows(of site: ShardSite) -> Range<Int>? {
        guard let heads = heads(of: site), let layer = site.layer as? any LinearMap, heads < group.worldSize, group.worldSize % heads == 0
        else {
            return nil
        }
        let size: Int = layer.outputDimensions / heads
        let head: Int = group.rank * heads / group.worldSize
        return size == (site.parent as? any PartitionableLayer)?.channelsKeptTogether(by: site.name) ? head * size..<(head + 1) * size : nil
    }

    @discardableResult
    private func replace(_ site: ShardSite, _ make: (ShardSite) -> Module) -> Module {
        let key: ObjectIdentifier = ObjectIdentifier(site.layer)
        let layer: Module = replaced[key] ?? make(site)
        if replaced[key] == nil {
            replaced[key] = layer
            originals.append(site.layer)
            layer.train(site.layer.isTraining)
        }
        if layer !== site.layer { site.replace(by: layer) }
        return layer
    }

    /// The share of a layer by its own spec.
    private func single(_ site: ShardSite, _ shared: SharedInput?) -> Module {
        let spec: ShardSpec = specs[site.weightPath] ?? .replicated
        guard let axis = spec.axis else { return site.layer }
        let weight: Tensor = tensor(site, "weight", spec)
        if let table = site.layer as? Embedding {
            if axis == 1 { return FeatureParallelEmbedding(piece: weight, paddingIndex: table.paddingIndex, group: group) }
            return VocabParallelEmbedding(piece: weight, paddingIndex: table.paddingIndex, group: group)
        }
        let bias: Tensor? = biasPiece(site, specs["\(site.path).bias"] ?? .replicated)
        if axis == (site.layer is TransposedLinear ? 1 : 0) {
            return ColumnParallelLinear(weight: weight, bias: bias, group: group, parts: spec.parts, output: .joined, shared: shared)
        }
        return RowParallelLinear(weight: weight, bias: bias, group: group, shared: shared)
    }

    private func biasPiece(_ site: ShardSite, _ spec: ShardSpec) -> Tensor? {
        (site.layer as? any LinearMap)?.bias == nil ? nil : tensor(site, "bias", spec)
    }

    /// A rank's piece of a layer's tensor, which stays trained or frozen; the specs take down how it was cut.
    private func tensor(_ site: ShardSite, _ name: String, _ spec: ShardSpec) -> Tensor {
        guard let full = site.layer.directParameters().first(where: { $0.name == name })?.tensor else {
            preconditionFailure("\(site.path) has no \(name)")
        }
        let found: (piece: Tensor, spec: ShardSpec)? = pieces[ObjectIdentifier(full)]
        let spec: ShardSpec = found?.spec ?? spec
        specs["\(site.path).\(name)"] = spec
        let piece: Tensor = found?.piece ?? spec.piece(of: full, rank: group.rank, shards: group.worldSize)
        pieces[ObjectIdentifier(full)] = (piece, spec)
        if !full.requiresGrad { frozen.append(piece) }
        return piece
    }
}
