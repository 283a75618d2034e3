import NN
import SequenceModels
import Torch
import Training

/// What ``quantize(_:plan:using:calibration:checkpoint:)`` did.
public struct QuantizationReport: Codable, Sendable {
    public let plan: BitPlan
    /// Each layer with its bits and bytes, in the order of the forward pass.
    public let choices: [LayerChoice]
    /// Bits of a quantised weight with its share of scales and zero points, over all layers.
    public let effectiveBits: Double

    public var bytesBefore: Int { choices.reduce(0) { $0 + $1.bytesBefore } }
    public var bytesAfter: Int { choices.reduce(0) { $0 + $1.bytesAfter } }
}

/// Puts packed codes into the places of the dense matrices inside the blocks, with the bits that a plan gives each block. Embeddings, head and norms
/// are not touched.
///
/// A quantiser that needs inputs gets those of the calibration text as they are with all layers before already quantised, one group of layers with the
/// same input after the other.
/// - Parameters:
///   - stack: the model, which is changed.
///   - plan: bits of each block.
///   - quantizer: its own number of bits is passed over.
///   - calibration: tokens `[B, T]` (int64); needed only where the quantiser needs inputs.
///   - checkpoint: is called before each block.
/// - Throws: `ConfigurationError` where a matrix holds values that are not finite, or the inputs are of no use; what `checkpoint` throws.
@discardableResult
public func quantize(
    _ stack: BlockStack, plan: BitPlan, using quantizer: any WeightQuantizer, calibration: [Tensor] = [],
    checkpoint: (_ block: Int) throws -> Void = { _ in }
) throws -> QuantizationReport {
    precondition(plan.bits.count == stack.paths.count, "quantize: bits for \(plan.bits.count) blocks, the model has \(stack.paths.count)")
    let wasTraining: Bool = stack.model.isTraining
    stack.model.train(false)
    defer { stack.model.train(wasTraining) }
    var streams: [Tensor] = quantizer.needsInputs ? calibration.map { stack.streams($0)[0] } : []
    var (choices, bits, weights): ([LayerChoice], Double, Int) = ([], 0, 0)
    for (index, blockBits) in plan.bits.enumerated() {
        try checkpoint(index)
        var own: any WeightQuantizer = quantizer
        own.groups = try GroupQuantizer(bits: blockBits, groupSize: quantizer.groups.groupSize)
        var pending: [(path: String, layer: any LinearMap)] = stack.denseLinearMaps(in: index)
        let places: [String] = pending.map(\.path)
        var made: [LayerChoice] = []
        while !pending.isEmpty {
            let (group, hessian): ([String], Tensor?) = firstInputs(stack, index, pending, streams)
            made += try replace(stack.model, pending.filter { group.contains($0.path) }, own, hessian)
            pending.removeAll { group.contains($0.path) }
        }
        streams = streams.map { stack.run(index, $0) }
        choices += places.compactMap { path in made.first { $0.path == path } }
        for case let layer as QuantizedLinear in places.compactMap({ stack.model.module(at: $0) }) {
            bits += 8 * Double(layer.codeBytes)
            weights += layer.inputDimensions * layer.outputDimensions
        }
    }
    return QuantizationReport(plan: plan, choices: choices, effectiveBits: bits / Double(max(weights, 1)))
}

/// As ``quantize(_:plan:using:calibration:checkpoint:)``, for a language model.
@discardableResult
public func quantize(
    _ model: any LayeredLanguageModel, plan: BitPlan, using quantizer: any WeightQuantizer, calibration: [Tensor] = []
) throws -> QuantizationReport {
    try quantize(BlockStack(model), plan: plan, using: quantizer, calibration: calibration)
}

/// Of the layers that are still dense, those that share the input which the block needs first, and its second moments. All layers, and none, without streams.
private func firstInputs(
    _ stack: BlockStack, _ block: Int, _ layers: [(path: String, layer: any LinearMap)], _ streams: [Tensor]
) -> (paths: [String], hessian: Tensor?) {
    guard !streams.isEmpty else { return (layers.map(\.path), nil) }
    let pass: InputRecorder.Pass = InputRecorder.Pass()
    let recorders: [InputRecorder] = layers.map { InputRecorder($0.layer, pass: pass) }
    for (recorder, place) in zip(recorders, layers) { stack.model.replaceModule(at: place.path, with: recorder) }
    for stream in streams {
        pass.begin()
        _ = stack.run(block, stream)
    }
    for place in layers { stack.model.replaceModule(at: place.path, with: place.layer) }
    let found: [String] = zip(recorders, layers).filter { $0.0.sawFirstInput }.map { $0.1.path }
    // Layers that the block never calls are rounded to nearest.
    return found.isEmpty ? (layers.map(\.path), nil) : (found, pass.hessian)
}

/// Quantises layers that share their input as one matrix, since rows do not depend on one another.
private func replace(
    _ model: Module, _ layers: [(path: String, layer: any LinearMap)], _ quantizer: any WeightQuantizer, _ hessian: Tensor?
) throws -> [LayerChoice] {
    let weights: [Tensor] = layers.map { $0.layer.denseWeight().detached() }
    for (weight, place) in zip(weights, layers) where !weight.isFinite().all().item(Bool.self) {
        throw ConfigurationError("\(place.path) holds weights that are not finite; such a model cannot be quantized")
    }
    let groups: GroupQuantizer = quantizer.groups
    let matrices: [QuantizedMatrix]
    if let hessian {
        matrices = try quantizer.quantize(concatenated(weights), hessian: hessian).split(weights.map { $0.dim(0) })
    } else {
        matrices = try weights.map { try quantizer.quantize($0, hessian: nil) }
    }
    return zip(matrices, layers).map { matrix, place in
        let packed: QuantizedLinear = QuantizedLinear(matrix, bias: place.layer.bias)
        model.replaceModule(at: place.path, with: packed)
        return LayerChoice(
            path: place.path, choice: "\(groups.bits) bits", bytesBefore: place.layer.byteCount, bytesAfter: packed.byteCount)
    }
}
