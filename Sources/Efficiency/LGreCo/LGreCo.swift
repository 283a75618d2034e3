import Torch
import Training

/// Averages gradients over the ranks in compressed form, with a compression of its own for each layer (Markov et al., *L-GreCo*, arXiv 2210.17357).
///
/// Every `frequency` steps rank 0 looks at the gradients of its last ten steps, and chooses the layers' parameters so that all messages together are
/// shortest while the layers' errors together are at most `alpha` times those of the reference, one setting for all layers
/// (``LayerBudgetSolver``). All ranks use what rank 0 has chosen. What a message loses of a gradient is added to the next one (error feedback).
///
///     let exchange = LGreCo(compressor: PowerSGDCompressor(), reference: 4)
///     let parallel = try DistributedDataParallel(model, group: group, hook: exchange)
///
/// Tensors with one axis, and those that the compressor finds too small, go uncompressed in one all-reduce. One object belongs to one rank of one run.
/// Residuals, choices and what the compressor carries are part of the trainer's checkpoints (``state``), so that a resumed run goes on as it would have.
public final class LGreCo: GradientExchange {
    /// One choice of parameters.
    public struct Adjustment: Sendable, Equatable {
        /// Steps before it.
        public let step: Int
        /// The setting that all layers would share: a rank, bits or a density.
        public let reference: Double
        /// Of the compressed layers, in the order of the parameters.
        public let parameters: [Int]
        /// Bytes of all messages with this choice, and with the reference.
        public let size: Int
        public let referenceSize: Int
        /// Sum of the layers' errors with this choice, and with the reference; 0 on ranks other than the first.
        public let error: Double
        public let referenceError: Double
    }

    let compressor: any GradientCompressor
    let reference: Double
    let alpha: Double
    let frequency: Int
    let startIteration: Int
    let isLayerwise: Bool
    private let bins: Int
    var accordion: Accordion?
    var step: Int = 0
    /// Positions of the layers that are compressed.
    var layers: [Int] = []
    var parameters: [Int] = []
    var residuals: [Tensor] = []
    var recent: GradientWindow = GradientWindow(length: 10)
    /// The choices of this sitting.
    public private(set) var adjustments: [Adjustment] = []

    /// - Parameters:
    ///   - compressor: how a gradient is sent.
    ///   - reference: the setting that all layers would share: a rank, bits or a density.
    ///   - alpha: errors that are allowed, in those of the reference.
    ///   - frequency: steps between two choices.
    ///   - startIteration: uncompressed steps at the beginning.
    ///   - layerwise: false keeps the reference for all layers.
    ///   - accordion: changes the reference with the course of training, in place of `reference`.
    ///   - bins: of the solver's grid.
    public init(
        compressor: any GradientCompressor, reference: Double, alpha: Double = 1, frequency: Int = 100, startIteration: Int = 10,
        layerwise: Bool = true, accordion: Accordion? = nil, bins: Int = 10_000
    ) {
        precondition(
            reference > 0 && alpha > 0 && frequency > 0 && startIteration >= 0 && bins > 0, "L-GreCo's settings have to be above 0")
        self.compressor = compressor
        self.reference = reference
        self.alpha = alpha
        self.frequency = frequency
        self.startIteration = startIteration
        self.accordion = accordion
        self.bins = bins
        isLayerwise = layerwise
    }

    public func average(_ gradients: [Tensor], over group: ProcessGroup) throws -> [Tensor] {
        defer { step += 1 }
        if group.worldSize == 1 { return gradients }
        return try noGrad {
            let due: Bool = step >= startIteration && (step - startIteration) % frequency == 0
            if due { try adjust(gradients, group) }
            if group.rank == 0, step + recent.length >= nextAdjustment { recent.add(gradients) }
            return step < startIteration ? try mean(gradients, over: group) : try compressed(gradients, group)
        }
    }

    /// Residuals of the compressed layers: what their messages have not yet sent.
    public var pendingResiduals: [Tensor] { residuals }

    /// Bytes of the compressed layers' gradients as they are, before compression.
    public var compressedBytes: Int { residuals.reduce(0) { $0 + $1.byteCount } }

    private var nextAdjustment: Int {
        step < startIteration ? startIteration : step + frequency - (step - startIteration) % frequency
    }

    // MARK: One step

    private func compressed(_ gradients: [Tensor], _ group: ProcessGroup) throws -> [Tensor] {
        var results: [Tensor] = gradients
        let small: [Int] = gradients.indices.filter { !layers.contains($0) }
        for (index, mean) in zip(small, try mean(small.map { gradients[$0] }, over: group)) { results[index] = mean }
        if layers.isEmpty { return results }
        let inputs: [Tensor] = TensorList.add(layers.map { gradients[$0].contiguous() }, residuals)
        let exchanged: CompressedExchange = try compressor.exchange(inputs, parameters, over: group)
        residuals = TensorList.add(inputs, exchanged.sent, scale: -1)
        for (index, mean) in zip(layers, exchanged.means) { results[index] = mean }
        return results
    }

    private func mean(_ tensors: [Tensor], over group: ProcessGroup) throws -> [Tensor] {
        if tensors.isEmpty { return [] }
        let flat: Tensor = concatenated(tensors.map { $0.contiguous().flattened() })
        try group.allReduce(flat)
        return zip((flat / Double(group.worldSize)).split(sizes: tensors.map(\.count)), tensors).map { $0.reshaped($1.shape) }
    }

    // MARK: The choice

    /// Lets rank 0 choose, and takes over its choice.
    private func adjust(_ gradients: [Tensor], _ group: ProcessGroup) throws {
        let shapes: [[Int]] = gradients.map(\.shape)
        if layers.isEmpty {
            layers = shapes.indices.filter { compressor.compresses(shapes[$0], reference: accordion?.strong ?? reference) }
            residuals = layers.map { gradients[$0].detached().zerosLike() }
        }
        let wanted: [[Int]] = layers.map { shapes[$0] }
        var current: Double = accordion?.reference ?? reference
        var errors: (chosen: Double, reference: Double) = (0, 0)
        var chosen: [Int] = []
        if group.rank == 0 {
            let means: [Tensor] = recent.takeMean() ?? gradients
            if accordion != nil { current = accordion!.update(norm: Self.norm(means)) }
            (chosen, errors) = choose(layers.map { means[$0] }, wanted, current)
        }
        let message: Tensor = Tensor([current] + (chosen.isEmpty ? wanted.map { _ in 0 } : chosen.map(Double.init)), device: .cpu)
        try group.broadcast(message, from: 0)
        let agreed: [Double] = message.array(Double.self)
        parameters = agreed.dropFirst().map { Int($0) }
        let uniform: [Int] = wanted.map { compressor.parameter($0, reference: agreed[0]) }
        adjustments.append(
            Adjustment(
                step: step, reference: agreed[0], parameters: parameters, size: size(wanted, parameters),
                referenceSize: size(wanted, uniform),
                error: errors.chosen, referenceError: errors.reference))
    }

    /// The parameters of the layers, and the sums of errors with them and with the reference.
    private func choose(_ gradients: [Tensor], _ shapes: [[Int]], _ reference: Double) -> ([Int], (chosen: Double, reference: Double)) {
        let candidates: [[Int]] = shapes.map { compressor.candidates($0, reference: reference) }
        let errors: [[Double]] = zip(gradients, candidates).map { compressor.errorTable($0, $1) }
        let sizes: [[Int]] = zip(shapes, candidates).map { shape, numbers in numbers.map { compressor.size(shape, $0) } }
        let uniform: [Int] = zip(shapes, candidates).map { shape, numbers in
            numbers.firstIndex(of: compressor.parameter(shape, reference: reference))!
        }
        let budget: Double = alpha * total(errors, uniform)
        var best: [Int] = uniform
        // Errors are rounded up on the grid, so that the reference itself may be out of its reach: it is compared in the end.
        if isLayerwise, let found = LayerBudgetSolver.solve(errors: errors, sizes: sizes, budget: budget, bins: bins),
            alpha < 1 || total(sizes, found) <= total(sizes, uniform)
        {
            best = found
        }
        return (zip(candidates, best).map { $0[$1] }, (total(errors, best), total(errors, uniform)))
    }

    private func total<Number: AdditiveArithmetic>(_ table: [[Number]], _ choice: [Int]) -> Number {
        zip(table, choice).reduce(.zero) { $0 + $1.0[$1.1] }
    }

    private func size(_ shapes: [[Int]], _ parameters: [Int]) -> Int {
        zip(shapes, parameters).reduce(0) { $0 + compressor.size($1.0, $1.1) }
    }

    private static func norm(_ tensors: [Tensor]) -> Double {
        tensors.reduce(0) { $0 + $1.asType(.float64).square().sum().item(Double.self) }.squareRoot()
    }
}
