import Efficiency
import Foundation
import Optim
import Torch
import Training

/// What one training run with one way to send gradients gave.
struct LGreCoOutcome: Sendable {
    let quality: Double
    /// Of the steps from the first choice on, choices included.
    let bytesPerStep: Double
    let operationsPerStep: Double
    let secondsPerStep: Double
    /// Largest relative excess of the layers' errors over the reference's, over all choices; 0 where there is none.
    let errorExcess: Double
    let formulaDifference: Double
    let replicasAgree: Bool

    func modelledSeconds(_ network: NetworkModel) -> Double {
        operationsPerStep * network.latency + bytesPerStep / network.bandwidth
    }
}

/// One arm of the L-GreCo experiment on all ranks.
struct LGreCoTrial: Sendable {
    let task: GradientTask
    let arm: LGreCoArm
    let setting: LGreCoSetting
    let seed: UInt64

    /// On the processes of a launcher where there are any, else on threads.
    func run() throws -> LGreCoOutcome {
        let world: ProcessGroup = try .fromEnvironment()
        if world.worldSize > 1 { return try run(on: world) }
        return try ProcessGroup.onThreads(setting.ranks, timeout: 300) { try run(on: $0) }[0]
    }

    private func run(on group: ProcessGroup) throws -> LGreCoOutcome {
        let model: GradientModel = try task.model(seed: seed)
        let exchange: LGreCo = makeExchange(rank: group.rank)
        let meter: MeteredExchange = MeteredExchange(exchange, from: setting.start)
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.module.namedParameters()),
            configuration: try AdamWConfiguration(learningRate: task.learningRate, beta1: 0.9, beta2: 0.95, weightDecay: 0.01))
        let trainer: Trainer<ShardedBatches<GeneratedBatches<GradientTask.Batch>>> = try Trainer(
            model: model.module, optimizer: optimizer, source: try ShardedBatches(task.batches(seed: seed), rows: task.rows, over: group),
            configuration: try TrainerConfiguration(
                steps: setting.steps, schedule: .warmUpCosine(warmUp: setting.steps / 20, finalFraction: 0.1), checkpointMinutes: nil,
                prefetch: 0, seed: seed),
            group: group, exchange: meter, progress: .quiet
        ) { task.loss(model, $0) }
        let started: Date = Date()
        try trainer.run()
        let seconds: Double = Date().timeIntervalSince(started) / Double(setting.steps)
        let agree: Bool = try group.holdsSame(model.module.stateTensors().map(\.1))
        let steps: Double = Double(setting.steps - setting.start)
        return LGreCoOutcome(
            quality: task.quality(model), bytesPerStep: meter.stats.bytes / steps,
            operationsPerStep: Double(meter.stats.operations) / steps,
            secondsPerStep: seconds, errorExcess: exchange.adjustments.map(Self.excess).max() ?? 0,
            formulaDifference: formulaDifference(meter, exchange, optimizer.parameters.map(\.shape), group), replicasAgree: agree)
    }

    /// Rounding differs between ranks, the first factors do not.
    private func makeExchange(rank: Int) -> LGreCo {
        let compressor: any GradientCompressor
        var (reference, strong): (Double, Double) = (4, 1)
        switch arm.compression {
        case .topK:
            compressor = TopKCompressor()
            (reference, strong) = (0.01, 0.001)
        case .quantization:
            compressor = QuantizationCompressor(bucket: 128, seed: seed &* 64 &+ UInt64(rank))
            (reference, strong) = (4, 2)
        case .lowRank, nil: compressor = PowerSGDCompressor(seed: seed)
        }
        let switches: Bool = arm.choice == .accordion || arm.choice == .layerwiseAccordion
        return LGreCo(
            compressor: compressor, reference: reference, frequency: setting.frequency,
            startIteration: arm.compression == nil ? .max : setting.start,
            layerwise: arm.choice == .layerwise || arm.choice == .layerwiseAccordion,
            accordion: switches ? Accordion(strong: strong, gentle: reference) : nil)
    }

    private static func excess(_ adjustment: LGreCo.Adjustment) -> Double {
        adjustment.referenceError > 0 ? max(0, adjustment.error / adjustment.referenceError - 1) : 0
    }

    /// Bytes that were counted against those that the choices' sizes, the uncompressed tensors and the broadcasts of the choices amount to.
    private func formulaDifference(_ meter: MeteredExchange, _ exchange: LGreCo, _ shapes: [[Int]], _ group: ProcessGroup) -> Double {
        let others: Double = Double(group.worldSize - 1)
        let share: Double = others / Double(group.worldSize)
        let all: Int = shapes.reduce(0) { $0 + 4 * $1.reduce(1, *) }
        if exchange.adjustments.isEmpty {
            let expected: Double = 2 * share * Double(all * (setting.steps - setting.start))
            return abs(meter.stats.bytes / expected - 1)
        }
        let ends: [Int] = exchange.adjustments.dropFirst().map(\.step) + [setting.steps]
        let plain: Int = all - exchange.compressedBytes
        var expected: Double = 0
        for (adjustment, end) in zip(exchange.adjustments, ends) {
            let message: Double = Double(adjustment.size) * (arm.compression == .lowRank ? 2 * share : others)
            expected += Double(end - adjustment.step) * (message + 2 * share * Double(plain))
            expected += share * Double(8 * (1 + adjustment.parameters.count))
        }
        return abs(meter.stats.bytes / expected - 1)
    }
}

/// Counts what an exchange sends from a step on.
final class MeteredExchange: GradientExchange {
    private let base: any GradientExchange
    private let start: Int
    private var step: Int = 0
    private(set) var stats: CommStats = CommStats()

    init(_ base: any GradientExchange, from start: Int) {
        self.base = base
        self.start = start
    }

    func average(_ gradients: [Tensor], over group: ProcessGroup) throws -> [Tensor] {
        let before: CommStats = group.stats
        let result: [Tensor] = try base.average(gradients, over: group)
        if step >= start { stats = stats + (group.stats - before) }
        step += 1
        return result
    }
}
