import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the layer-wise quantisation experiment at a scale.
struct LayerwiseQuantizationSetting {
    var recipe: SmallLanguageModel
    let groupSize: Int = 32
    /// Bits of the more important blocks.
    let high: Int = 4
    /// Bits of the less important blocks.
    let low: Int = 2
    var randomOrders: Int
    /// Batches of training text that the orders and GPTQ are calibrated on.
    var calibrationBatches: Int
    /// Validation characters that a loss is measured on.
    var characters: Int

    init(_ scale: Scale) {
        recipe = SmallLanguageModel(scale)
        switch scale {
        case .smoke:
            recipe.layers = 3
            (randomOrders, calibrationBatches, characters) = (1, 1, 200)
        case .small: (randomOrders, calibrationBatches, characters) = (6, 4, 33_000)
        case .full:
            recipe.layers = 24
            (randomOrders, calibrationBatches, characters) = (6, 16, 100_000)
        }
    }
}

/// The trained model of one seed, which is quantised by one plan after the other.
struct LayerwiseQuantizationTrial {
    /// Blocks from the least to the most important, and what ordered them.
    struct Order {
        let name: String
        let blocks: [Int]
    }

    let setting: LayerwiseQuantizationSetting
    let seed: UInt64
    let model: PlainTransformer
    let lim: LayerImportance
    let zd: LayerImportance
    private let dense: [(path: String, layer: any LinearMap)]
    private let calibration: [Tensor]
    private let held: TextWindows
    private let context: ExperimentContext
    private let memory: LossMemory = LossMemory()

    /// Losses that were measured already: orders meet at the plans where all blocks, or the same ones, have few bits.
    private final class LossMemory {
        var losses: [String: Double] = [:]
    }

    init(_ setting: LayerwiseQuantizationSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext) throws {
        self.setting = setting
        self.seed = seed
        self.context = context
        model = try setting.recipe.trained(on: corpus, seed: seed, context: context)
        model.freeze()
        dense = model.blockLinearMaps
        let source: TextWindows = setting.recipe.windows(corpus.training, seed: seed)
        calibration = (0..<setting.calibrationBatches).map { source.batch($0).tensors().tokens }
        held = TextWindows(corpus.validation, context: setting.recipe.context, rows: 64, seed: 0)
        lim = LayerImportance.lim(model, calibration: calibration)
        zd = LayerImportance.zd(model)
    }

    var blocks: Int { model.blockPaths.count }

    func quantizer(_ method: QuantizeStep.Method) throws -> any WeightQuantizer {
        switch method {
        case .rtn: try GroupQuantizer(bits: setting.high, groupSize: setting.groupSize)
        case .gptq: try GPTQ(bits: setting.high, groupSize: setting.groupSize)
        }
    }

    /// Random orders, drawn from the seed.
    func randomOrders() -> [Order] {
        (0..<setting.randomOrders).map { draw in
            var generator: SplitMix64 = SplitMix64(seed: seed &* 1000 &+ UInt64(draw))
            var blocks: [Int] = Array(0..<self.blocks)
            for index in blocks.indices.dropFirst().reversed() { blocks.swapAt(index, Int(generator.next(below: UInt64(index + 1)))) }
            return Order(name: "random order \(draw + 1)", blocks: blocks)
        }
    }

    // MARK: Losses

    /// Validation loss of the model as it was trained.
    func denseLoss() -> Double { model.score(held).loss }

    /// Validation loss with packed codes in all blocks.
    func loss(_ plan: BitPlan, _ method: QuantizeStep.Method) throws -> Double {
        try loss(of: "\(method.rawValue) \(plan.bits)") { try withQuantized(plan, method) { _ in model.score(held).loss } }
    }

    /// Validation loss with the first `count` blocks of an order left out and the others at the high number of bits.
    func lossDropping(_ count: Int, of order: Order) throws -> Double {
        let plan: BitPlan = BitPlan(uniform: setting.high, blocks: blocks)
        return try withQuantized(plan, .rtn) { _ in
            let all: [PlainTransformerBlock] = model.blocks
            defer { model.blocks = all }
            model.blocks = all.indices.filter { !order.blocks.prefix(count).contains($0) }.map { all[$0] }
            return model.score(held).loss
        }
    }

    /// Validation loss with one block at the low number of bits and the others as they were trained.
    func lossAlone(_ block: Int) throws -> Double {
        let quantizer: GroupQuantizer = try GroupQuantizer(bits: setting.low, groupSize: setting.groupSize)
        defer { restore() }
        for (path, layer) in BlockStack(model).denseLinearMaps(in: block) {
            model.replaceModule(at: path, with: QuantizedLinear(layer, quantizer: quantizer))
        }
        return model.score(held).loss
    }

    /// Runs `body` with the model quantised by a plan, and puts the dense layers back.
    func withQuantized<Result>(
        _ plan: BitPlan, _ method: QuantizeStep.Method, _ body: (QuantizationReport) throws -> Result
    ) throws -> Result {
        try context.checkCancellation()
        defer { restore() }
        return try body(try quantize(model, plan: plan, using: try quantizer(method), calibration: method == .gptq ? calibration : []))
    }

    /// How far packed layers are, in the loss, from dense ones with the decoded weights.
    func differenceOfPacking(_ plan: BitPlan) throws -> Double {
        try withQuantized(plan, .rtn) { _ in
            let packed: Double = model.score(held).loss
            for case let (path, layer as QuantizedLinear) in model.compressedLayers {
                model.replaceModule(at: path, with: Linear(weight: layer.matrix.dequantized(), bias: layer.bias))
            }
            return abs(model.score(held).loss - packed)
        }
    }

    private func restore() { for (path, layer) in dense { model.replaceModule(at: path, with: layer) } }

    private func loss(of key: String, _ measure: () throws -> Double) rethrows -> Double {
        if let known = memory.losses[key] { return known }
        let loss: Double = try measure()
        memory.losses[key] = loss
        return loss
    }

    /// Increase of the loss over the model with the high number of bits everywhere, for 0 ... L blocks moved to the low number.
    func increases(_ order: Order, _ method: QuantizeStep.Method) throws -> [Double] {
        context.progress("seed \(seed): \(method.rawValue), \(order.name)")
        let losses: [Double] = try (0...blocks).map { count in
            try loss(BitPlan(ordering: order.blocks, high: setting.high, low: setting.low, count: count), method)
        }
        return losses.map { $0 - losses[0] }
    }
}
