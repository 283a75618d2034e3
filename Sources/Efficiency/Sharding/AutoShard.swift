import NN
import SequenceModels
import Torch
import Training

/// Divides a model among ranks by ``ShardingRules``: linear layers and embeddings are replaced in place by their shares, and the model's own code stays
/// as it is (arXiv 2310.16355). The original leaves the sums between ranks to a compiler; here they are in the layers.
///
///     let layout = try AutoShard.apply(model, over: groups.model)
///
/// Between a pair of layers, one cut along its outputs and the next along its inputs, a rank keeps its own channels, and the pair costs one sum, if
/// what lies between works channel by channel or head by head. Layers that conform to `PartitionableLayer` say so, and work with their share of the
/// width. For other layers, written by a user who never heard of ranks, a probe finds out: a function of the model whose value and gradients have to
/// come out as they were, when a rank's channels stand among zeros in the place of the others'. Where they do not, or without a probe, the channels are joined between the layers: that costs more and is always right. Without a probe, too, a layer stays whole
/// that its parent holds as a `Linear`, not as any linear map, since it might read the weight.
public enum AutoShard {
    /// Replaces the layers of a model, which has to be the same on all ranks; all have to call. Make optimizers afterwards.
    /// - Parameters:
    ///   - model: its layers have to be held in `ModuleInfo` properties; others stay whole.
    ///   - group: the ranks that share the model.
    ///   - probe: logits or other outputs of the model for some input, the same at every call and on all ranks; no scalar, in which
    ///     differences could cancel.
    /// - Returns: where each parameter went.
    /// - Throws: ``ShardingError`` where the divided model does not give what the probe gave before; what the probe and collectives throw.
    @discardableResult
    public static func apply(_ model: Module, over group: ProcessGroup, probe: (() throws -> Tensor)? = nil) throws -> ShardLayout {
        let specs: [ParameterPath: ShardSpec] = ShardingRules.infer(for: model, shards: group.worldSize)
        if group.worldSize == 1 {
            let whole: [ParameterPath: ShardSpec] = specs.mapValues { _ in .replicated }
            return ShardLayout(group: group, specs: whole, partialParameters: [], localPairs: [], joinedPairs: [])
        }
        let plan: ShardPlan = ShardPlan(model, specs, isProbed: probe != nil)
        let check: ShardProbe? = try probe.map { try ShardProbe(model, group, $0) }
        let builder: ShardBuilder = ShardBuilder(plan, group)
        builder.replaceAll()
        let partial: Set<ParameterPath> = try check?.settle(builder.undecided, builder.specs) ?? []
        return ShardLayout(
            group: group, specs: builder.specs, partialParameters: partial, localPairs: builder.pairs.filter(\.isLocal).map(\.path),
            joinedPairs: builder.pairs.filter { !$0.isLocal }.map(\.path))
    }
}

/// A layer that may be replaced, and where it stands.
struct ShardSite {
    let parent: Module
    let name: String
    let path: String
    let layer: Module

    var weightPath: ParameterPath { "\(path).weight" }

    /// Whether the property that holds it takes another layer.
    var isReplaceable: Bool {
        let trial: Module = layer is Embedding ? Embedding(1, 1) : Linear(1, 1)
        guard parent.replaceModuleIfPossible(at: name, with: trial) else { return false }
        parent.replaceModule(at: name, with: layer)
        return true
    }

    /// Whether the parent may read the layer's weight instead of calling it: it holds a `Linear` and not just any linear map. A language model calls
    /// its head.
    var showsItsWeight: Bool {
        if layer is Embedding || parent is any CausalLanguageModel || parent is any PartitionableLayer { return false }
        guard parent.replaceModuleIfPossible(at: name, with: TransposedLinear(1, 1)) else { return layer is Linear }
        parent.replaceModule(at: name, with: layer)
        return false
    }

    func replace(by layer: Module) { parent.replaceModule(at: name, with: layer) }
}

/// Layers cut along their outputs and the layer after them, cut along its inputs, of one parent.
final class ShardPair {
    let path: String
    let columns: [ShardSite]
    let row: ShardSite
    /// Whether the parent says that it works with a share of the channels.
    let isDeclared: Bool
    /// The replaced layers.
    var columnLayers: [ColumnParallelLinear] = []
    var rowLayer: RowParallelLinear?

    init(columns: [ShardSite], row: ShardSite, isDeclared: Bool) {
        path = columns[0].path
        self.columns = columns
        self.row = row
        self.isDeclared = isDeclared
    }

    /// Layers of one name are treated alike.
    var pattern: String { path.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".") }

    /// Whether a rank keeps its own channels between the layers. Code that says nothing about shares sees the whole width then.
    var isLocal: Bool = false {
        didSet {
            for layer in columnLayers { layer.output = !isLocal ? .joined : isDeclared ? .own : .padded }
            rowLayer?.readsPadded = isLocal && !isDeclared
        }
    }
}

/// Which layers of a model are replaced, and which of them form pairs.
struct ShardPlan {
    private(set) var pairs: [(columns: [ShardSite], row: ShardSite)] = []
    /// Layers and tables in no pair.
    private(set) var singles: [ShardSite] = []
    private(set) var specs: [ParameterPath: ShardSpec]

    private let isProbed: Bool

    init(_ model: Module, _ specs: [ParameterPath: ShardSpec], isProbed: Bool) {
        self.specs = specs
        self.isProbed = isProbed
        for (path, parent) in model.namedModules() { add(childrenOf: parent, at: path) }
    }

    private mutating func add(childrenOf parent: Module, at path: String) {
        var open: [ShardSite] = []
        for (name, child) in parent.children where Self.isDivisible(child) {
            let site: ShardSite = ShardSite(parent: parent, name: name, path: path.isEmpty ? name : "\(path).\(name)", layer: child)
            guard site.isReplaceable, isProbed || !site.showsItsWeight else {
                for (parameter, _) in child.directParameters() { specs["\(site.path).\(parameter)"] = .replicated }
                continue
            }
            if child is Embedding {
                singles.append(site)
            } else if isColumn(site) || (!open.isEmpty && (spec(of: site).axis == nil || ShardingRules.namesAnOutputSide(site.path))) {
                // Keys and values of few heads are no columns, but belong to the queries' pair.
                open.append(site)
            } else if spec(of: site).axis != nil {
                if fits(open, site) { pairs.append((open, site)) } else { singles += open + [site] }
                open = []
            }
        }
        singles += open
    }

    private func spec(of site: ShardSite) -> ShardSpec { specs[site.weightPath] ?? .replicated }

    /// A `Linear` is stored `[out, in]`, a `TransposedLinear` the other way round.
    private func isColumn(_ site: ShardSite) -> Bool { spec(of: site).axis == (site.layer is TransposedLinear ? 1 : 0) }

    /// Whether the first layer's outputs are what the last one reads.
    private func fits(_ columns: [ShardSite], _ row: ShardSite) -> Bool {
        guard let first = columns.first, let column = first.layer as? any LinearMap, let last = row.layer as? any LinearMap else {
            return false
        }
        return column.outputDimensions / spec(of: first).parts == last.inputDimensions
    }

    private static func isDivisible(_ module: Module) -> Bool {
        type(of: module) == Linear.self || type(of: module) == TransposedLinear.self || type(of: module) == Embedding.self
    }
}
