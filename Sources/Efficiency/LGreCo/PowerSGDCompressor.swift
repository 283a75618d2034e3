import Torch
import Training

/// One step of a power iteration that all ranks take together (Vogels et al., 2019, *PowerSGD*): `P = G Q`, averaged and orthonormalised; `Q = Gᵀ P`,
/// averaged; the mean gradient is `P Qᵀ`. Q is kept for the next step. The number is the rank r.
///
/// A gradient `[n, ...]` counts as a matrix of n rows and m columns, and takes `4 r (n + m)` bytes. The factors of all layers are averaged in two
/// all-reduces.
public final class PowerSGDCompressor: GradientCompressor {
    public static let name: String = "powersgd"

    private let seed: UInt64
    /// Of each layer, `[m, r]`.
    private var factors: [Int: Tensor] = [:]

    /// - Parameter seed: of the first Q, which has to be the same on every rank.
    public init(seed: UInt64 = 0) { self.seed = seed }

    public var state: [String: Tensor] { Dictionary(uniqueKeysWithValues: factors.map { ("factor.\($0)", $1) }) }

    public func load(_ state: [String: Tensor]) {
        factors = [:]
        for (name, tensor) in state { if let layer = Int(name.dropFirst("factor.".count)) { factors[layer] = tensor } }
    }

    /// Whether the factors have fewer than half of the elements.
    public func compresses(_ shape: [Int], reference: Double) -> Bool {
        guard shape.count > 1 else { return false }
        let (rows, columns): (Int, Int) = Self.matrix(shape)
        return parameter(shape, reference: reference) * (rows + columns) * 2 < rows * columns
    }

    public func parameter(_ shape: [Int], reference: Double) -> Int {
        let (rows, columns): (Int, Int) = Self.matrix(shape)
        return max(1, min(Int(reference), rows, columns))
    }

    /// From half of the reference's rank to twice it.
    public func candidates(_ shape: [Int], reference: Double) -> [Int] {
        let (rows, columns): (Int, Int) = Self.matrix(shape)
        let middle: Int = parameter(shape, reference: reference)
        return Array(max(1, middle / 2)...min(2 * middle, rows, columns))
    }

    public func size(_ shape: [Int], _ parameter: Int) -> Int {
        let (rows, columns): (Int, Int) = Self.matrix(shape)
        return 4 * parameter * (rows + columns)
    }

    /// Of the best approximation of each rank, from the singular values.
    public func errorTable(_ gradient: Tensor, _ candidates: [Int]) -> [Double] {
        noGrad {
            let (rows, columns): (Int, Int) = Self.matrix(gradient.shape)
            let values: [Double] = gradient.detached().asType(.float64).reshaped([rows, columns]).singularValues().array(Double.self)
            return candidates.map { rank in values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }.squareRoot() }
        }
    }

    public func exchange(_ inputs: [Tensor], _ parameters: [Int], over group: ProcessGroup) throws -> CompressedExchange {
        try noGrad {
            let matrices: [Tensor] = inputs.map { input in
                let (rows, columns): (Int, Int) = Self.matrix(input.shape)
                return input.detached().reshaped([rows, columns])
            }
            let right: [Tensor] = matrices.indices.map { factor($0, columns: matrices[$0].dim(1), rank: parameters[$0]) }
            let left: [Tensor] = try mean(zip(matrices, right).map { $0.matmul($1) }, over: group).map { $0.qr().q }
            let updated: [Tensor] = try mean(zip(matrices, left).map { $0.transposed().matmul($1) }, over: group)
            for (layer, factor) in updated.enumerated() { factors[layer] = factor }
            let means: [Tensor] = inputs.indices.map { left[$0].matmul(updated[$0].transposed()).reshaped(inputs[$0].shape) }
            // The factors are the mean's, so each rank's message stands for the mean.
            return CompressedExchange(sent: means, means: means)
        }
    }

    /// The layer's Q at a rank: columns of the step before as far as there are, the others at random from the shared seed.
    private func factor(_ layer: Int, columns: Int, rank: Int) -> Tensor {
        let before: Tensor? = factors[layer]
        let kept: Int = min(rank, before?.dim(1) ?? 0)
        let start: Tensor? = before.map { $0.narrowed(axis: 1, start: 0, length: kept) }
        if kept == rank, let start { return start.contiguous() }
        let generator: RandomGenerator = RandomGenerator(seed: seed &* 1_000_003 &+ UInt64(layer * 4096 + rank), device: .cpu)
        let fresh: Tensor = Tensor.normal([columns, rank - kept], device: .cpu, generator: generator)
        return concatenated([start, fresh].compactMap(\.self), axis: 1)
    }

    private func mean(_ tensors: [Tensor], over group: ProcessGroup) throws -> [Tensor] {
        let flat: Tensor = concatenated(tensors.map { $0.contiguous().flattened() })
        try group.allReduce(flat)
        return zip((flat / Double(group.worldSize)).split(sizes: tensors.map(\.count)), tensors).map { $0.reshaped($1.shape) }
    }

    /// Rows and columns that a shape counts as.
    static func matrix(_ shape: [Int]) -> (rows: Int, columns: Int) { (shape[0], shape.dropFirst().reduce(1, *)) }
}
