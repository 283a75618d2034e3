import NN
import SequenceModels
import Torch
import Training

/// `quantize` in a recipe: packed codes in the place of the matrices inside the blocks. Embeddings, head and norms are not touched.
///
/// With `low-bits` the less important blocks get fewer bits (arXiv 2406.17415): as many that the average is `average-bits`.
public struct QuantizeStep: CompressionStep {
    public static let name: String = "quantize"

    public enum Method: String, Codable, Sendable, CaseIterable {
        /// Round to nearest.
        case rtn
        /// ``GPTQ``, which takes text to calibrate on.
        case gptq
    }

    /// What says which blocks are less important.
    public enum Order: String, Codable, Sendable, CaseIterable {
        /// ``LayerImportance/Measure/lim``, which takes text to calibrate on.
        case lim
        /// ``LayerImportance/Measure/zd``.
        case zd
        /// The last blocks come first.
        case last
    }

    public var bits: Int = 4
    public var groupSize: Int = 64
    public var method: Method = .rtn
    public var damping: Double = 0.01
    public var actOrder: Bool = false
    public var lowBits: Int?
    public var averageBits: Double?
    public var order: Order = .lim
    /// Windows of the calibration text that are read.
    public var windows: Int = 128

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case bits, method, damping, order, windows
        case groupSize = "group-size"
        case actOrder = "act-order"
        case lowBits = "low-bits"
        case averageBits = "average-bits"
    }

    public init() {}

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(bits: Int, groupSize: Int = 64, method: Method = .rtn) throws {
        (self.bits, self.groupSize, self.method) = (bits, groupSize, method)
        try validate()
    }

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.bits, into: &bits)
        try fields.read(.groupSize, into: &groupSize)
        try fields.read(.method, into: &method)
        try fields.read(.damping, into: &damping)
        try fields.read(.actOrder, into: &actOrder)
        try fields.read(.lowBits, into: &lowBits)
        try fields.read(.averageBits, into: &averageBits)
        try fields.read(.order, into: &order)
        try fields.read(.windows, into: &windows)
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range, or lacks another.
    public func validate() throws {
        _ = try quantizer()
        if windows < 1 { throw ConfigurationError("quantize: windows is \(windows); it has to be at least 1") }
        switch (lowBits, averageBits) {
        case (nil, nil): break
        case (let low?, let average?):
            _ = try GroupQuantizer(bits: low, groupSize: groupSize)
            _ = try BitPlan.fit(averageBits: average, ordering: [0], high: bits, low: low)
        default: throw ConfigurationError("quantize: low-bits and average-bits go together")
        }
    }

    private func quantizer() throws -> any WeightQuantizer {
        switch method {
        case .rtn: try GroupQuantizer(bits: bits, groupSize: groupSize)
        case .gptq: try GPTQ(bits: bits, groupSize: groupSize, damping: damping, actOrder: actOrder)
        }
    }

    public var summary: String {
        let size: String
        if let lowBits, let averageBits {
            size = "\(bits) and \(lowBits) bits, \(averageBits) on average, by \(order.rawValue)"
        } else {
            size = "\(bits) bits"
        }
        return "\(size) in groups of \(groupSize), \(method.rawValue)"
    }

    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let stack: BlockStack = subject.stack
        return try bitPlan(stack, context).bits.enumerated().flatMap { block, bits in
            let groups: GroupQuantizer = try GroupQuantizer(bits: bits, groupSize: groupSize)
            return stack.denseLinearMaps(in: block).map { path, layer in
                LayerChoice(
                    path: path, choice: "\(bits) bits", bytesBefore: layer.byteCount,
                    bytesAfter: QuantizedLinear.bytes(of: layer, quantizer: groups))
            }
        }
    }

    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {
        try requireDenseMatrices(subject.stack)
        if method == .gptq { _ = try context.requiredCalibration(for: "gptq") }
        if lowBits != nil, order == .lim { _ = try context.requiredCalibration(for: "the order lim") }
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let stack: BlockStack = subject.stack
        let plan: BitPlan = try bitPlan(stack, context)
        let quantizer: any WeightQuantizer = try quantizer()
        let calibration: [Tensor] = quantizer.needsInputs ? try tokens(context, for: "gptq", subject.model) : []
        return try quantize(stack, plan: plan, using: quantizer, calibration: calibration) { block in
            try context.checkCancellation()
            if quantizer.needsInputs { context.progress("quantize: block \(block + 1) of \(plan.bits.count)") }
        }.choices
    }

    private func requireDenseMatrices(_ stack: BlockStack) throws {
        if stack.denseLinearMaps.isEmpty {
            throw ConfigurationError("quantize: no block of the model has a dense matrix left; the model is compressed already")
        }
    }

    private func bitPlan(_ stack: BlockStack, _ context: CompressionContext) throws -> BitPlan {
        try requireDenseMatrices(stack)
        guard let lowBits, let averageBits else { return BitPlan(uniform: bits, blocks: stack.paths.count) }
        let ordering: [Int]
        switch order {
        case .lim: ordering = LayerImportance.lim(stack, calibration: try tokens(context, for: "the order lim", stack.model)).ordering
        case .zd: ordering = LayerImportance.zd(stack).ordering
        case .last: ordering = Array(stack.paths.indices.reversed())
        }
        return try BitPlan.fit(averageBits: averageBits, ordering: ordering, high: bits, low: lowBits)
    }

    private func tokens(_ context: CompressionContext, for method: String, _ model: Module) throws -> [Tensor] {
        let text: TextWindows = try context.requiredCalibration(for: method)
        let device: Device = model.parameters().first?.device ?? .default
        let batches: Int = (windows + text.rows - 1) / text.rows
        return (0..<batches).map { text.batch($0).tensors(device: device).tokens }
    }
}
