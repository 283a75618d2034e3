import NN
import Torch

/// `quantize` in a recipe: packed codes in the place of the matrices inside the blocks. Embeddings, head and norms are not touched.
public struct QuantizeStep: CompressionStep {
    public static let name: String = "quantize"

    public var bits: Int = 4
    public var groupSize: Int = 64

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case bits
        case groupSize = "group-size"
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(bits: Int = 4, groupSize: Int = 64) throws {
        (self.bits, self.groupSize) = (bits, groupSize)
        _ = try quantizer()
    }

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.bits, into: &bits)
        try fields.read(.groupSize, into: &groupSize)
        _ = try quantizer()
    }

    private func quantizer() throws -> GroupQuantizer { try GroupQuantizer(bits: bits, groupSize: groupSize) }

    public var summary: String { "\(bits) bits in groups of \(groupSize)" }

    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let quantizer: GroupQuantizer = try quantizer()
        return subject.denseLinearMaps.map { path, layer in
            LayerChoice(
                path: path, choice: "\(bits) bits", bytesBefore: layer.byteCount,
                bytesAfter: QuantizedLinear.bytes(of: layer, quantizer: quantizer))
        }
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let quantizer: GroupQuantizer = try quantizer()
        return try subject.denseLinearMaps.map { path, layer in
            try context.checkCancellation()
            let packed: QuantizedLinear = QuantizedLinear(layer, quantizer: quantizer)
            subject.model.replaceModule(at: path, with: packed)
            return LayerChoice(path: path, choice: "\(bits) bits", bytesBefore: layer.byteCount, bytesAfter: packed.byteCount)
        }
    }
}
