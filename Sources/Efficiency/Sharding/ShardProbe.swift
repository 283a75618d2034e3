import NN
import Torch
import Training

/// Decides by a model's outputs and gradients where ranks may keep their own channels.
struct ShardProbe {
    /// How far the divided model is from the whole one; alike on all ranks.
    private struct Deviation {
        /// Largest difference of the outputs, relative to the largest output.
        var outputs: Double = .infinity
        /// Largest difference of a gradient, relative to the largest of its parameter or a thousandth of the largest of all.
        var gradients: Double = .infinity
        /// Parameters whose gradients are right only when they are summed over the ranks.
        var partial: Set<ParameterPath> = []
    }

    private let model: Module
    private let group: ProcessGroup
    private let outputs: () throws -> Tensor
    private let wanted: Tensor
    private let wantedGradients: [ParameterPath: Tensor]

    /// Takes outputs and gradients of the undivided model.
    init(_ model: Module, _ group: ProcessGroup, _ outputs: @escaping () throws -> Tensor) throws {
        self.model = model
        self.group = group
        self.outputs = outputs
        let found: (value: Tensor, gradients: [ParameterPath: Tensor]) = try Self.evaluate(model, outputs)
        (wanted, wantedGradients) = (found.value, found.gradients)
    }

    /// The outputs, and the gradients of the sum of their squares.
    private static func evaluate(
        _ model: Module, _ outputs: () throws -> Tensor
    ) throws -> (value: Tensor, gradients: [ParameterPath: Tensor]) {
        let wasTraining: Bool = model.isTraining
        model.train(false)
        defer { model.train(wasTraining) }
        return try withCollectiveErrors {
            let trained: [(name: String, tensor: Tensor)] = model.namedParameters().filter { $0.tensor.requiresGrad }
            let value: Tensor = try enableGrad { try outputs() }
            guard value.requiresGrad else { return (value, [:]) }
            let found: [Tensor] = gradients(of: [value.square().sum()], withRespectTo: trained.map(\.tensor))
            return (value.detached(), Dictionary(zip(trained.map(\.name), found)) { first, _ in first })
        }
    }

    /// Keeps channels apart, name by name, where outputs and gradients stay what they are to rounding.
    /// - Parameters:
    ///   - pairs: those to decide on; their channels are joined at first.
    ///   - specs: the layout.
    /// - Returns: parameters whose gradients are to be summed over the ranks.
    /// - Throws: ``ShardingError`` where the divided model computes something else.
    func settle(_ pairs: [ShardPair], _ specs: [ParameterPath: ShardSpec]) throws -> Set<ParameterPath> {
        var settled: Deviation = try deviation(specs)
        guard settled.outputs < 1e-3, settled.gradients < 1e-2 else {
            throw ShardingError(
                "the divided model's outputs differ from the whole one's by \(settled.outputs) of the largest, its gradients by \(settled.gradients); the probe has to be the same at every call and on all ranks"
            )
        }
        let isDouble: Bool = wanted.dtype == .float64
        let limit: (outputs: Double, gradients: Double) = (
            max(8 * settled.outputs, isDouble ? 1e-13 : 2e-6), max(8 * settled.gradients, isDouble ? 1e-10 : 1e-3)
        )
        for pattern in Set(pairs.map(\.pattern)).sorted() {
            let alike: [ShardPair] = pairs.filter { $0.pattern == pattern }
            for pair in alike { pair.isLocal = true }
            let found: Deviation = try deviation(specs)
            if found.outputs <= limit.outputs, found.gradients <= limit.gradients {
                settled = found
            } else {
                for pair in alike { pair.isLocal = false }
            }
        }
        return settled.partial
    }

    /// What cannot be computed deviates without bound. All ranks have the same shapes, so that it fails on all or on none.
    private func deviation(_ specs: [ParameterPath: ShardSpec]) throws -> Deviation {
        guard let found = try? Self.evaluate(model, outputs), found.value.shape == wanted.shape else { return Deviation() }
        let names: [ParameterPath] = wantedGradients.keys.sorted()
        let pairs: [(found: Tensor, wanted: Tensor)] = names.compactMap { name in
            guard let whole = wantedGradients[name], let gradient = found.gradients[name] else { return nil }
            return (gradient, (specs[name] ?? .replicated).piece(of: whole, rank: group.rank, shards: group.worldSize))
        }
        precondition(pairs.count == names.count, "the divided model has other parameters than the whole one")
        let sums: [Tensor] = try pairs.map { try summed($0.found) }
        // Some gradients are zero but for rounding, as those of a bias of keys are.
        let least: Double = 1e-3 * (wantedGradients.values.map { $0.abs().max().item(Double.self) }.max() ?? 0)
        var measured: [Double] = [Self.difference(found.value, wanted)]
        measured += pairs.map { Self.difference($0.found, $0.wanted, least: least) }
        measured += zip(sums, pairs).map { Self.difference($0, $1.wanted, least: least) }
        let shared: Tensor = Tensor(measured, [measured.count], dtype: .float64, device: .cpu)
        try group.allReduce(shared, .maximum)
        return judged(shared.array(Double.self), names, specs)
    }

    private func summed(_ tensor: Tensor) throws -> Tensor {
        let sum: Tensor = tensor.detached().cloned().contiguous()
        try group.allReduce(sum, .sum)
        return sum
    }

    private func judged(_ measured: [Double], _ names: [ParameterPath], _ specs: [ParameterPath: ShardSpec]) -> Deviation {
        var result: Deviation = Deviation(outputs: measured[0], gradients: 0)
        for (index, name) in names.enumerated() {
            let (own, sum): (Double, Double) = (measured[1 + index], measured[1 + names.count + index])
            let mayBePartial: Bool = (specs[name] ?? .replicated).axis == nil
            if mayBePartial, sum < own, own > 1e-3 { result.partial.insert(name) }
            result.gradients = max(result.gradients, mayBePartial ? min(own, sum) : own)
        }
        return result
    }

    /// Largest difference relative to the largest wanted element, or to `least` where that is more; infinite where something is no number.
    private static func difference(_ found: Tensor, _ wanted: Tensor, least: Double = 0) -> Double {
        let scale: Double = max(wanted.abs().max().item(Double.self), least, 1e-30)
        let largest: Double = (found - wanted).abs().max().item(Double.self) / scale
        return largest.isNaN ? .infinity : largest
    }
}
