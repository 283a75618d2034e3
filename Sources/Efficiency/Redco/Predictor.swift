import Foundation
import NN
import Torch
import Training

/// Which examples which copy reads in which batch: a shuffle that all ranks know, filled up to whole batches with examples that are read once more
/// and whose second outputs are thrown away. So every rank runs the same number of batches and no example is left out.
public struct PredictionPlan: Sendable {
    public let count: Int
    public let copies: Int
    public let perDevice: Int
    /// Places of the examples in the order in which they are read, filled up.
    private let order: [Int]

    /// Traps for no copies or empty batches.
    /// - Parameters:
    ///   - count: examples.
    ///   - copies: of the model.
    ///   - perDevice: examples of a batch.
    ///   - seed: of the shuffle.
    public init(count: Int, copies: Int, perDevice: Int, seed: UInt64) {
        precondition(
            count >= 0 && copies > 0 && perDevice > 0, "PredictionPlan: \(count) examples, \(copies) copies, batches of \(perDevice)")
        self.count = count
        self.copies = copies
        self.perDevice = perDevice
        guard count > 0 else {
            order = []
            return
        }
        let once: Int = copies * perDevice
        let filled: Int = (count + once - 1) / once * once
        var shuffled: ShuffledIndices = ShuffledIndices(count: count, seed: seed)
        let places: [Int] = Array(shuffled.nextBatch(count))
        order = (0..<filled).map { places[$0 % count] }
    }

    /// Batches of each copy.
    public var batches: Int { order.count / (copies * perDevice) }

    /// The examples of a copy's batch.
    public func batch(_ index: Int, copy: Int) -> [Int] {
        let start: Int = (index * copies + copy) * perDevice
        return Array(order[start..<start + perDevice])
    }

    /// Outputs in the order of the examples.
    /// - Parameter outputs: of each copy, batch after batch.
    public func arranged<Output>(_ outputs: [[Output]]) -> [Output] {
        var byExample: [Output?] = Array(repeating: nil, count: count)
        for copy in 0..<copies {
            for index in 0..<batches {
                for (offset, example) in batch(index, copy: copy).enumerated() where byExample[example] == nil {
                    byExample[example] = outputs[copy][index * perDevice + offset]
                }
            }
        }
        return byExample.compactMap { $0 }
    }
}

/// Runs a model over examples on all ranks: every example gets exactly one output, in the order of the examples, on every rank.
public struct Predictor<Model: Module, Example, Batch, Output: Codable & Sendable> {
    private let deployer: Deployer
    private let model: Model
    private let collate: ([Example]) throws -> Batch
    private let predict: (Model, Batch, RandomGenerator) throws -> [Output]

    /// - Parameters:
    ///   - deployer: the ranks.
    ///   - model: divided among the ranks of a copy or not.
    ///   - collate: makes a batch of examples.
    ///   - predict: one output for each example of a batch; the model is in evaluation mode and nothing is recorded.
    public init(
        _ deployer: Deployer, model: Model, collate: @escaping ([Example]) throws -> Batch,
        predict: @escaping (Model, Batch, RandomGenerator) throws -> [Output]
    ) {
        self.deployer = deployer
        self.model = model
        self.collate = collate
        self.predict = predict
    }

    /// All ranks have to call, with the same examples.
    /// - Parameters:
    ///   - examples: to predict for.
    ///   - perDevice: examples of a batch.
    /// - Throws: ``ShardingError`` where `predict` gives another number of outputs than there are examples, or the ranks' data differ; what the
    ///   functions and the collectives throw.
    public func callAsFunction(_ examples: [Example], perDevice: Int) throws -> [Output] {
        try deployer.agree(on: examples.count, "the number of examples")
        let plan: PredictionPlan = PredictionPlan(
            count: examples.count, copies: deployer.mesh.dp, perDevice: perDevice, seed: deployer.seed)
        let generator: RandomGenerator = deployer.generator(stream: 2)
        let wasTraining: Bool = model.isTraining
        model.train(false)
        defer { model.train(wasTraining) }
        var own: [Output] = []
        for index in 0..<plan.batches {
            let chosen: [Int] = plan.batch(index, copy: deployer.copy)
            let batch: Batch = try collate(chosen.map { examples[$0] })
            let outputs: [Output] = try withCollectiveErrors { try noGrad { try predict(model, batch, generator) } }
            guard outputs.count == chosen.count else {
                throw ShardingError("predict gave \(outputs.count) outputs for \(chosen.count) examples; it has to give one for each")
            }
            own += outputs
        }
        return plan.arranged(try deployer.groups.data.allGather(value: own))
    }
}

extension ProcessGroup {
    /// The values of all ranks, in their order, on every rank: what is no tensor travels as JSON.
    /// - Throws: what coding and the collectives throw.
    public func allGather<Value: Codable>(value: Value) throws -> [Value] {
        if worldSize == 1 { return [value] }
        let encoder: JSONEncoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let bytes: [UInt8] = Array(try encoder.encode(value))
        let longest: Tensor = Tensor([Int64(bytes.count)], [1], dtype: .int64, device: .cpu)
        try allReduce(longest, .maximum)
        // JSON may end in spaces, so that all messages have one length.
        let padding: [UInt8] = Array(repeating: UInt8(ascii: " "), count: longest.item(Int.self) - bytes.count)
        let message: Tensor = Tensor(bytes + padding, [bytes.count + padding.count], dtype: .uint8, device: .cpu)
        let decoder: JSONDecoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try allGather(message).map { try decoder.decode(Value.self, from: Data($0.array(UInt8.self))) }
    }
}
