import NN
import SequenceModels
import Torch

/// Low rank found in training: layers are products of factors whose components are put in order by ordered dropout, and thinned by a
/// hierarchical group lasso (Horváth et al., *Maestro: Uncovering Low-Rank Structures via Trainable Decomposition*, ICML 2024, arXiv 2308.14929).
///
///     Maestro.decompose(model)
///     var sampler = OrderedDropoutSampler(for: model, seed: 0)
///     let objective = try MaestroObjective(lassoWeight: 1e-4)
///     let loss = objective(model, width: sampler.next(), targets: labels) { model(images) }
///     …
///     Maestro.shrink(model)
///     let small = Maestro.extract(model, macBudget: 100_000, into: LeNet())
public enum Maestro {
    /// The decomposed layers of a model, by dotted path.
    public static func layers(of model: Module) -> [(path: String, layer: MaestroLayer)] {
        model.namedModules().compactMap { path, module in (module as? MaestroLayer).map { (path, $0) } }
    }

    /// Replaces linear layers and convolutions by their decomposition, at full rank, so that the model computes the same. Of a transformer these are
    /// the matrices of attention and feed-forward; of any other module all, but for convolutions in groups.
    ///
    /// Traps where a layer stands in a property that does not admit another.
    /// - Parameters:
    ///   - model: is changed.
    ///   - skipFirst: leaves the first layer as it is.
    ///   - skipLast: leaves the last layer as it is.
    public static func decompose(_ model: Module, skipFirst: Bool = false, skipLast: Bool = false) {
        let found: [(String, Module)] = denseLayers(of: model)
        for (path, layer) in found.dropFirst(skipFirst ? 1 : 0).dropLast(skipLast ? 1 : 0) {
            if let layer = layer as? Conv2d {
                model.replaceModule(at: path, with: MaestroConv2d(layer))
            } else if let layer = layer as? any LinearMap {
                model.replaceModule(at: path, with: MaestroLinear(layer))
            }
        }
        model.train(model.isTraining)
    }

    private static func denseLayers(of model: Module) -> [(String, Module)] {
        let maps: Set<String> = Set(model.denseMatrices.map(\.path))
        return model.namedModules().filter { path, module in maps.contains(path) || (module as? Conv2d).map { $0.groups == 1 } ?? false }
    }

    /// Runs `body` with some layers at smaller widths. Traps for a path that no decomposed layer has.
    public static func with<Result>(_ width: OrderedWidth?, in model: Module, _ body: () throws -> Result) rethrows -> Result {
        guard let width, !width.widths.isEmpty else { return try body() }
        let layers: [String: MaestroLayer] = Dictionary(uniqueKeysWithValues: layers(of: model))
        for (path, components) in width.widths {
            guard let layer = layers[path] else { preconditionFailure("Maestro: the model has no decomposed layer \(path)") }
            layer.width = components
        }
        defer { for layer in layers.values { layer.width = nil } }
        return try body()
    }

    /// `Σ_layers Σ_b (‖U[:, b:]‖_F + ‖V[:, b:]‖_F)`, a scalar: the later a component, the more often it is counted. Traps for a model
    /// without decomposed layers.
    public static func hierarchicalGroupLasso(_ model: Module) -> Tensor {
        let terms: [Tensor] = layers(of: model).map(\.layer.groupLasso)
        guard let first = terms.first else { preconditionFailure("Maestro: the model has no decomposed layer") }
        return terms.dropFirst().reduce(first, +)
    }

    /// From which importance on a component survives.
    public enum Threshold: Codable, Sendable, Equatable {
        /// A share of the layer's most important component.
        case relative(Double)
        /// The importance itself, `‖U[:, b:]‖_F · ‖V[:, b:]‖_F`.
        case absolute(Double)
    }

    /// Drops, in each layer, the components whose importance has fallen below a threshold. They are masked, not cut, so that training goes on with the
    /// optimizer's state. A layer may lose all; it then gives its bias.
    /// - Returns: the surviving ranks by path.
    @discardableResult
    public static func shrink(_ model: Module, threshold: Threshold = .relative(1e-3)) -> [String: Int] {
        var ranks: [String: Int] = [:]
        for (path, layer) in layers(of: model) {
            let importance: [Double] = layer.importance
            let least: Double =
                switch threshold {
                case .relative(let share): share * (importance.first ?? 0)
                case .absolute(let value): value
                }
            layer.activeRank = importance.count { $0 > 0 && $0 >= least }
            ranks[path] = layer.activeRank
        }
        return ranks
    }

    /// Puts layers of the surviving size in the place of the decomposed ones: two factors, or a dense layer where that is smaller.
    public static func prune(_ model: Module) {
        for (path, layer) in layers(of: model) { model.replaceModule(at: path, with: layer.pruned(to: layer.activeRank)) }
        model.train(model.isTraining)
    }

    // MARK: Smaller models from one training run

    /// Multiply-accumulates of one input example in the decomposed layers, at these ranks or at those that have survived. Convolutions count
    /// the places of their newest call.
    public static func multiplyAccumulates(_ model: Module, ranks: [String: Int] = [:]) -> Int {
        layers(of: model).reduce(0) { $0 + $1.layer.multiplyAccumulates(rank: ranks[$1.path] ?? $1.layer.activeRank) }
    }

    /// The ranks that are left when the least important of all layers' components are dropped, one after the other, until the decomposed layers cost
    /// no more than the budget. The components for a smaller budget are always among those for a larger one.
    /// - Parameters:
    ///   - model: trained with ordered dropout, and called at least once.
    ///   - macBudget: multiply-accumulates of one input example, not negative.
    public static func ranks(_ model: Module, macBudget: Int) -> [String: Int] { ranks(layers(of: model), macBudget: macBudget) }

    /// The same for layers that need not stand in a model.
    static func ranks(_ layers: [(path: String, layer: MaestroLayer)], macBudget: Int) -> [String: Int] {
        precondition(macBudget >= 0, "Maestro: a budget of \(macBudget) multiply-accumulates")
        var components: [(layer: Int, component: Int, importance: Double)] = []
        for (index, entry) in layers.enumerated() {
            components += entry.layer.importance.enumerated().map { (index, $0.offset, $0.element) }
        }
        // Within a layer a later component never comes after an earlier one: its importance is no larger.
        components.sort { ($0.importance, -$0.component, $0.layer) < ($1.importance, -$1.component, $1.layer) }
        var ranks: [Int] = layers.map(\.layer.activeRank)
        var total: Int = layers.reduce(0) { $0 + $1.layer.multiplyAccumulates(rank: $1.layer.activeRank) }
        for dropped in components {
            if total <= macBudget { break }
            let layer: MaestroLayer = layers[dropped.layer].layer
            total += layer.multiplyAccumulates(rank: dropped.component) - layer.multiplyAccumulates(rank: ranks[dropped.layer])
            ranks[dropped.layer] = dropped.component
        }
        return Dictionary(uniqueKeysWithValues: zip(layers, ranks).map { ($0.path, $1) })
    }

    /// A smaller model of the most important components, without training it again. See ``ranks(_:macBudget:)``; where the model has batch
    /// norms, follow with ``recalibrate(_:on:)``.
    /// - Parameters:
    ///   - model: trained with ordered dropout, and called at least once; is not changed.
    ///   - macBudget: multiply-accumulates of one input example in the decomposed layers.
    ///   - blank: a new model of the dense architecture, which is given the layers.
    /// - Returns: `blank`, with tensors of its own.
    @discardableResult
    public static func extract<Model: Module>(_ model: Model, macBudget: Int, into blank: Model) -> Model {
        let ranks: [String: Int] = ranks(model, macBudget: macBudget)
        for (path, layer) in layers(of: model) { blank.replaceModule(at: path, with: layer.pruned(to: ranks[path] ?? layer.activeRank)) }
        let kept: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.stateTensors())
        let places: [(String, Tensor)] = blank.stateTensors().filter { kept[$0.0]?.shape == $0.1.shape }
        blank.update(parameters: Dictionary(uniqueKeysWithValues: places.map { ($0.0, kept[$0.0] ?? $0.1) }))
        blank.train(model.isTraining)
        return blank
    }

    /// Sets the running statistics of the model's batch norms to the means over some batches, since those of the larger model do not fit.
    /// - Parameters:
    ///   - model: in evaluation mode.
    ///   - passes: each calls the model on one batch.
    public static func recalibrate(_ model: Module, on passes: [() -> Void]) {
        let norms: [BatchNorm] = model.namedModules().compactMap { $0.module as? BatchNorm }.filter { $0.runningMean != nil }
        let sums: [(mean: Tensor, variance: Tensor)] = norms.map { ($0.runningMean!.zerosLike(), $0.runningVariance!.zerosLike()) }
        noGrad {
            for pass in passes {
                for norm in norms { norm.forget() }
                pass()
                for (index, norm) in norms.enumerated() {
                    // From zero, one batch moves the statistics by the momentum's share.
                    let share: Double = norm.momentum ?? 1
                    sums[index].mean.add_(norm.runningMean! / share)
                    sums[index].variance.add_(norm.runningVariance! / share)
                }
            }
            for (norm, sum) in zip(norms, sums) {
                norm.runningMean?.copy_(from: sum.mean / Double(passes.count))
                norm.runningVariance?.copy_(from: sum.variance / Double(passes.count))
                norm.train(false)
            }
        }
    }
}

extension BatchNorm {
    /// Statistics of nothing, to be measured by the next call.
    fileprivate func forget() {
        train(true)
        runningMean?.zero_()
        runningVariance?.zero_()
        batchCount?.zero_()
    }
}
