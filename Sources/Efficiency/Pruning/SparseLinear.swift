import NN
import Torch

/// A linear layer of whose matrix only some elements are kept: these, and a bit for each place that says whether its element is there.
///
/// It takes `4 · kept + inputs · outputs / 8` bytes in float32, so less than the dense matrix from a thirty-second of zeros on. The matrix is put together at
/// each call: what is saved is memory, not time. A gradient passes to the input, the kept elements and the bias, so that training keeps the zeros.
public final class SparseLinear: Module, LinearMap {
    public let inputDimensions: Int
    /// The kept elements, row by row: `[kept]`.
    public let values: Tensor
    /// Packed bits, uint8 `[outputDimensions, bytes]`, the first place in the lowest bit; rows are filled up to 16 places.
    @Buffer public private(set) var places: Tensor
    /// `[outputDimensions]`
    public let bias: Tensor?

    /// Keeps some elements of a layer's matrix; its bias is shared. Traps unless the mask has the matrix' shape.
    /// - Parameters:
    ///   - layer: stays as it is.
    ///   - mask: bool `[outputDimensions, inputDimensions]`, true where an element is kept.
    public convenience init(_ layer: any LinearMap, keeping mask: Tensor) {
        let matrix: Tensor = layer.denseWeight().detached()
        precondition(mask.shape == matrix.shape && mask.dtype == .bool, "SparseLinear: a mask \(mask.shape) of a matrix \(matrix.shape)")
        self.init(
            values: matrix.maskedSelect(mask), places: PackedCodes.pack(mask.asType(.uint8), bits: 1),
            inputDimensions: layer.inputDimensions,
            bias: layer.bias)
    }

    init(values: Tensor, places: Tensor, inputDimensions: Int, bias: Tensor?) {
        self.inputDimensions = inputDimensions
        self.values = values
        self.bias = bias
        self.places = places
        super.init()
    }

    public var outputDimensions: Int { places.dim(0) }

    /// Elements that are kept.
    public var count: Int { values.count }

    /// True where an element is kept, `[outputDimensions, inputDimensions]`.
    public var mask: Tensor { PackedCodes.unpack(places, bits: 1, count: inputDimensions).asType(.bool) }

    public func denseWeight() -> Tensor {
        let zeros: Tensor = .zeros([outputDimensions, inputDimensions], dtype: values.dtype, device: values.device)
        return zeros.maskedScatter(mask, values)
    }

    public var multiplyAccumulates: Int { count }

    public func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight: denseWeight().asType(x.dtype), bias: bias) }

    /// Bytes of such a layer in the place of another.
    static func bytes(of layer: any LinearMap, keeping count: Int) -> Int {
        let places: Int = layer.outputDimensions * PackedCodes.bytes(of: layer.inputDimensions, bits: 1)
        return places + count * layer.denseWeight().dtype.byteCount + (layer.bias?.byteCount ?? 0)
    }
}

extension SparseLinear: CompressedLayer {
    public static let kind: String = "sparse"

    /// What a folder says beside the dense layer's shape.
    public struct Configuration: Codable, Sendable, Equatable {
        /// Elements that are kept.
        public var kept: Int

        public init(kept: Int) { self.kept = kept }
    }

    public var configuration: Configuration { Configuration(kept: count) }

    public static func empty(_ configuration: Configuration, replacing dense: Module) throws -> SparseLinear {
        guard let map = dense as? any LinearMap else { throw ConfigurationError("a \(type(of: dense)) has no matrix to prune") }
        let all: Int = map.inputDimensions * map.outputDimensions
        guard (0...all).contains(configuration.kept) else {
            throw ConfigurationError("kept is \(configuration.kept); it has to lie in 0 ... \(all)")
        }
        let like: Tensor = map.denseWeight()
        return SparseLinear(
            values: .zeros([configuration.kept], dtype: like.dtype, device: like.device),
            places: .zeros(
                [map.outputDimensions, PackedCodes.bytes(of: map.inputDimensions, bits: 1)], dtype: .uint8, device: like.device),
            inputDimensions: map.inputDimensions, bias: map.bias?.zerosLike())
    }
}
