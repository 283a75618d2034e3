import Foundation
import NN
import Optim
import Torch
import Training

/// Trains a model on the ranks of a ``Deployer`` by two functions of the user: `collate` makes a batch, `loss` a scalar; ``Predictor`` takes the third
/// (arXiv 2310.16355, section 3.1, where it is called Trainer). What a step's gradients are can be replaced too, as federated averaging or
/// private training need.
public final class DistributedTrainer<Model: Module, Example, Batch> {
    /// A batch's loss and the gradients of the optimizer's parameters, in their order.
    public typealias Step = (Model, Batch, RandomGenerator) throws -> (loss: Tensor, gradients: [Tensor?])

    public let deployer: Deployer
    public let model: Model
    public let optimizer: any Optimizer
    private let layout: ShardLayout?
    private let schedule: Schedule
    private let accumulation: Int
    private let clipNorm: Double?
    private let collate: ([Example]) throws -> Batch
    private let loss: (Model, Batch, Bool, RandomGenerator) throws -> Tensor
    private let step: Step?
    /// Of the optimizer's parameters; "" for those that are none of the model's.
    private let parameterNames: [ParameterPath]
    /// Steps done.
    public private(set) var stepsDone: Int = 0
    /// The step at which the next call of ``fit(_:epochs:perDevice:evaluation:steps:observe:)`` begins, after a checkpoint was read.
    private var firstStep: Int = 0
    /// Calls so far, each of which shuffles otherwise.
    private var calls: UInt64 = 0

    /// - Parameters:
    ///   - deployer: the ranks.
    ///   - model: the same on all ranks, or divided by `layout`.
    ///   - layout: what ``Deployer/shard(_:probe:)`` gave; nil for a model that is not divided.
    ///   - optimizer: over the model's parameters, made after the model was divided; a `ZeroRedundancyOptimizer` over the copies (``MeshGroups/data``)
    ///     spreads the state over them.
    ///   - schedule: of the learning rate over all steps.
    ///   - accumulation: batches of a rank in a step.
    ///   - clipNorm: largest global norm of the gradients; nil leaves them as they are.
    ///   - step: replaces loss and backward of a batch; the gradients are averaged over batches and copies as ever.
    ///   - collate: makes a batch of examples.
    ///   - loss: the mean over a batch, from model, batch, whether it is trained, and a stream of random numbers.
    public init(
        _ deployer: Deployer, model: Model, layout: ShardLayout? = nil, optimizer: any Optimizer, schedule: Schedule = .constant,
        accumulation: Int = 1, clipNorm: Double? = nil, step: Step? = nil, collate: @escaping ([Example]) throws -> Batch,
        loss: @escaping (Model, Batch, Bool, RandomGenerator) throws -> Tensor
    ) {
        precondition(accumulation > 0, "DistributedTrainer: \(accumulation) batches a step")
        precondition(layout != nil || deployer.mesh.mp == 1, "DistributedTrainer: a mesh \(deployer.mesh) needs a model that is divided")
        self.deployer = deployer
        self.model = model
        self.layout = layout
        self.optimizer = optimizer
        self.schedule = schedule
        self.accumulation = accumulation
        self.clipNorm = clipNorm
        self.step = step
        self.collate = collate
        self.loss = loss
        let names: [ObjectIdentifier: ParameterPath] = ShardLayout.names(of: model)
        parameterNames = optimizer.parameters.map { names[ObjectIdentifier($0)] ?? "" }
    }

    /// Trains over all examples; all ranks have to call, with the same examples and the same weights where they hold the same. Every epoch is another shuffle; what does not fill a step at an epoch's
    /// end is passed over.
    /// - Parameters:
    ///   - examples: to train on.
    ///   - epochs: passes over them.
    ///   - perDevice: examples of a batch of one rank.
    ///   - evaluation: examples whose mean loss is logged after each epoch; nil evaluates none.
    ///   - steps: an earlier end; nil is none.
    ///   - observe: gets each step's number and loss.
    /// - Returns: the losses of all steps, means over all copies.
    /// - Throws: ``ShardingError`` where there are too few examples, the ranks' data or replicas differ, or a loss is not finite; what the
    ///   functions and the collectives throw.
    @discardableResult
    public func fit(
        _ examples: [Example], epochs: Int = 1, perDevice: Int, evaluation: [Example]? = nil, steps: Int? = nil,
        observe: (Int, Double) throws -> Void = { _, _ in }
    ) throws -> [Double] {
        let size: Int = deployer.globalBatch(perDevice: perDevice, accumulation: accumulation)
        try layout?.prepare(optimizer)
        guard size > 0, examples.count >= size else {
            throw ShardingError("\(examples.count) examples do not fill a step of \(size); use smaller batches")
        }
        let perEpoch: Int = examples.count / size
        let total: Int = min(epochs * perEpoch, steps ?? .max)
        try deployer.agree(on: total, "the number of steps")
        try schedule.validate(total: total)
        let order: ShuffledIndices = ShuffledIndices(count: examples.count, seed: deployer.seed &+ calls)
        let first: Int = min(firstStep, total)
        (calls, firstStep) = (calls + 1, 0)
        try checkReplicas()
        var losses: [Double] = []
        model.train()
        for number in first..<total {
            let chosen: [Int] = Array(try order.batch(number, of: size))
            let value: Double = try train(examples, chosen, perDevice, factor: schedule.factor(step: number, of: total))
            losses.append(value)
            try observe(number, value)
            guard (number + 1) % perEpoch == 0 || number + 1 == total else { continue }
            try checkReplicas()
            let measured: Double? = try evaluation.map { try evaluate($0, perDevice: perDevice) }
            try deployer.log("step \(number + 1) of \(total): loss \(value)" + (measured.map { ", evaluation \($0)" } ?? ""))
        }
        return losses
    }

    /// The mean loss of examples, each counted once; all ranks have to call.
    public func evaluate(_ examples: [Example], perDevice: Int) throws -> Double {
        try deployer.agree(on: examples.count, "the number of examples to evaluate")
        let wasTraining: Bool = model.isTraining
        model.train(false)
        defer { model.train(wasTraining) }
        let generator: RandomGenerator = deployer.generator(stream: 3)
        var (sum, count): (Double, Double) = (0, 0)
        // No collective of the copies runs in the loop, so that a copy may have fewer batches, or none.
        for start in stride(from: deployer.copy * perDevice, to: examples.count, by: perDevice * deployer.mesh.dp) {
            let chosen: [Example] = Array(examples[start..<min(start + perDevice, examples.count)])
            let value: Tensor = try withCollectiveErrors { try noGrad { try loss(model, try collate(chosen), false, generator) } }
            sum += value.item(Double.self) * Double(chosen.count)
            count += Double(chosen.count)
        }
        let shared: Tensor = Tensor([sum, count], [2], dtype: .float64, device: .cpu)
        try deployer.groups.data.allReduce(shared, .sum)
        let totals: [Double] = shared.array(Double.self)
        return totals[0] / max(totals[1], 1)
    }

    /// Saves model, optimizer and step in the deployer's work folder; all ranks have to call.
    public func save() throws {
        try deployer.checkpoints().save(model, layout: wholeLayout, optimizer: optimizer, step: stepsDone, groups: deployer.groups)
    }

    /// Continues from the newest checkpoint of the work folder, whatever mesh wrote it: the next call of `fit` passes over the steps done.
    /// - Returns: whether there was one.
    @discardableResult
    public func restore() throws -> Bool {
        guard let step = try deployer.checkpoints().loadLatest(into: model, layout: wholeLayout, optimizer: optimizer) else { return false }
        (stepsDone, firstStep) = (step, step)
        return true
    }

    private var wholeLayout: ShardLayout {
        layout ?? ShardLayout(group: deployer.groups.model, specs: [:], partialParameters: [], localPairs: [], joinedPairs: [])
    }

    // MARK: A step

    private func train(_ examples: [Example], _ chosen: [Int], _ perDevice: Int, factor: Double) throws -> Double {
        let generator: RandomGenerator = deployer.generator(stream: 4 + UInt64(stepsDone))
        let sums: GradientAccumulator = GradientAccumulator()
        var value: Double = 0
        for part in 0..<accumulation {
            let start: Int = (part * deployer.mesh.dp + deployer.copy) * perDevice
            let batch: Batch = try collate(chosen[start..<start + perDevice].map { examples[$0] })
            let found: (loss: Tensor, gradients: [Tensor?]) = try withCollectiveErrors {
                if let step { return try step(model, batch, generator) }
                let found: (value: Tensor, gradients: [Tensor]) = try valueAndGrad(of: optimizer.parameters) {
                    try loss(model, batch, true, generator)
                }
                return (found.value, found.gradients)
            }
            sums.add(found.gradients)
            value += found.loss.item(Double.self) / Double(accumulation)
        }
        let (gradients, mean): ([Tensor?], Double) = try averaged(sums.takeMean(), value)
        guard mean.isFinite else { throw ShardingError("the loss of step \(stepsDone) is \(mean); lower the learning rate") }
        let chosen: [Tensor?] = try limited(gradients)
        try withCollectiveErrors { optimizer.step(chosen, learningRateFactor: factor) }
        try (optimizer as? any ShardedOptimizer)?.synchronize()
        stepsDone += 1
        return mean
    }

    /// Gradients and loss averaged over the copies in one message; gradients of which the ranks of a copy hold shares are summed over these first.
    private func averaged(_ gradients: [Tensor?], _ loss: Double) throws -> ([Tensor?], Double) {
        let parameters: [Tensor] = optimizer.parameters
        try layout?.sumShares(of: gradients, named: parameterNames)
        let group: ProcessGroup = deployer.groups.data
        if group.worldSize == 1 { return (gradients, loss) }
        return try noGrad {
            let dense: [Tensor] = zip(gradients, parameters).map { $0 ?? $1.zerosLike() }
            let working: DType = dense.contains { $0.dtype == .float64 } ? .float64 : .float32
            let last: Tensor = Tensor([loss], [1], dtype: working, device: .cpu)
            let flat: Tensor = concatenated(dense.map { $0.detached().asType(working).flattened() } + [last])
            try group.allReduce(flat, .sum)
            let pieces: [Tensor] = (flat / Double(group.worldSize)).split(sizes: dense.map(\.count) + [1])
            let means: [Tensor] = zip(pieces, dense).map { $0.reshaped($1.shape).asType($1.dtype) }
            return (means, pieces[dense.count].item(Double.self))
        }
    }

    /// Limited to the norm of the whole model's gradients.
    private func limited(_ gradients: [Tensor?]) throws -> [Tensor?] {
        guard let clipNorm else { return gradients }
        return clipped(gradients, ofNorm: try wholeLayout.norm(of: gradients, named: parameterNames), to: clipNorm)
    }

    /// Makes sure that what several ranks hold is the same on them.
    /// - Throws: ``ShardingError`` naming the first parameter that differs, on all ranks.
    public func checkReplicas() throws {
        let named: [(name: String, tensor: Tensor)] = model.namedParameters()
        try check(named, over: deployer.groups.data)
        try check(named.filter { !(layout?.isDivided($0.name) ?? false) }, over: deployer.groups.model)
    }

    private func check(_ parameters: [(name: String, tensor: Tensor)], over group: ProcessGroup) throws {
        if group.worldSize == 1 || parameters.isEmpty { return }
        let sums: [Double] = noGrad { parameters.map { Self.checksum($0.tensor) } }
        let highest: Tensor = Tensor(sums, [sums.count], dtype: .float64, device: .cpu)
        let lowest: Tensor = highest.cloned()
        try group.allReduce(highest, .maximum)
        try group.allReduce(lowest, .minimum)
        let differing: Int? = zip(highest.array(Double.self), lowest.array(Double.self)).enumerated().first { $1.0 != $1.1 }?.offset
        if let differing { throw ShardingError("the ranks that hold \(parameters[differing].name) no longer hold the same") }
    }

    /// A sum of which every element's bits are a part.
    private static func checksum(_ tensor: Tensor) -> Double {
        let flat: Tensor = tensor.detached().asType(.float64).flattened()
        return (flat * (Tensor.arange(flat.count, dtype: .float64, device: flat.device) % 8191 + 1)).sum().item(Double.self)
    }
}
