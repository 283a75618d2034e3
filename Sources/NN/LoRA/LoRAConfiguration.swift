import Torch

/// The size of low-rank adapters; see ``LoRALinear``.
public struct LoRAConfiguration: Codable, Sendable, Hashable {
    /// r.
    public var rank: Int
    /// α; the corrections are scaled by α / r.
    public var alpha: Double

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(rank: Int = 8, alpha: Double = 8) throws {
        self.rank = rank
        self.alpha = alpha
        try validate()
    }

    func validate() throws {
        if rank < 1 { throw ConfigurationError("the rank of the adapters is \(rank); it has to be at least 1") }
        if !alpha.isFinite { throw ConfigurationError("the alpha of the adapters is \(alpha); it has to be finite") }
    }
}

/// Swaps the ``Linear`` layers whose dotted path is chosen for ``LoRALinear`` layers over the same tensors, and freezes every other parameter: only
/// the adapters are trained from then on. Traps where no layer is chosen.
///
/// A tensor that another model shares is frozen there too.
/// - Parameters:
///   - model: whose chosen layers stand in ``ModuleInfo`` properties.
///   - configuration: rank and scale of the adapters.
///   - generator: of the first values; nil takes the shared one.
///   - chosen: whether the layer at a path, such as `model.layers.0.self_attn.q_proj`, gets an adapter.
/// - Returns: the paths of the adapted layers.
@discardableResult
public func applyLoRA(
    to model: Module, _ configuration: LoRAConfiguration, generator: RandomGenerator? = nil, where chosen: (_ path: String) -> Bool
) -> [String] {
    let found: [(path: String, layer: Linear)] = model.namedModules().compactMap { path, module in
        guard let layer = module as? Linear, chosen(path) else { return nil }
        return (path, layer)
    }
    precondition(!found.isEmpty, "applyLoRA: no linear layer was chosen")
    model.freeze()
    for (path, layer) in found {
        model.replaceModule(
            at: path, with: LoRALinear(layer, rank: configuration.rank, alpha: configuration.alpha, generator: generator))
    }
    return found.map(\.path)
}

extension Module {
    /// The adapted layers below this module, by dotted path.
    public var adaptedLayers: [(path: String, layer: LoRALinear)] {
        namedModules().compactMap { path, module in (module as? LoRALinear).map { (path, $0) } }
    }

    /// Folds every adapter into a weight of its layer's own; see ``LoRALinear/merge()``.
    public func mergeLoRA() { for (_, layer) in adaptedLayers { layer.merge() } }

    /// Undoes ``mergeLoRA()``.
    public func unmergeLoRA() { for (_, layer) in adaptedLayers { layer.unmerge() } }

    /// Replaces every adapted layer by a plain one that computes the same. Weights that other models share are not changed.
    public func fuseLoRA() { for (path, layer) in adaptedLayers { replaceModule(at: path, with: layer.fused()) } }
}
