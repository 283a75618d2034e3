import Torch

/// What turns a weight into codes.
public protocol WeightQuantizer: Sendable {
    /// Bits and group size.
    var groups: GroupQuantizer { get set }
    /// Whether it takes the second moments of the inputs.
    var needsInputs: Bool { get }

    /// - Parameters:
    ///   - weight: `[out, in]`.
    ///   - hessian: H = (2 / N) Σ x xᵀ of the inputs, float64 `[in, in]`; nil where none were seen.
    /// - Throws: `ConfigurationError` where the inputs are of no use.
    func quantize(_ weight: Tensor, hessian: Tensor?) throws -> QuantizedMatrix
}

extension GroupQuantizer: WeightQuantizer {
    public var groups: GroupQuantizer {
        get { self }
        set { self = newValue }
    }
    public var needsInputs: Bool { false }

    public func quantize(_ weight: Tensor, hessian: Tensor?) -> QuantizedMatrix { quantize(weight) }
}

/// Rounds one column after the other and moves what is lost into the columns that follow (Frantar et al., 2022, arXiv 2210.17323).
///
/// With H = (2 / N) Σ x xᵀ, `damping` times its mean diagonal added, and H⁻¹ = Uᵀ U: for each column j, q = quant(w_j), e = (w_j − q) / U_jj,
/// W[:, j+1:] −= e U[j, j+1:]. Columns beyond a block of 128 are updated once for the block. A group's scale and zero point are those of the weights as they
/// are when its first column comes. An input that is always zero has its weights set to zero.
public struct GPTQ: WeightQuantizer, Equatable {
    public var groups: GroupQuantizer
    /// Share of the mean diagonal of H that is added to it.
    public var damping: Double
    /// Takes columns with large inputs first. A group stays one: groups go by their inputs' sum, columns inside a group by their own, so that the codes
    /// need no order of their own at run time.
    public var actOrder: Bool

    private static let blockColumns: Int = 128

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(bits: Int = 4, groupSize: Int = 64, damping: Double = 0.01, actOrder: Bool = false) throws {
        groups = try GroupQuantizer(bits: bits, groupSize: groupSize)
        self.damping = damping
        self.actOrder = actOrder
        if !(damping >= 0 && damping.isFinite) { throw ConfigurationError("the damping is \(damping); it has to be at least 0") }
    }

    public var needsInputs: Bool { true }

    /// Without inputs weights are rounded to nearest.
    /// - Throws: `ConfigurationError` where H is not positive definite even with the damping.
    public func quantize(_ weight: Tensor, hessian: Tensor?) throws -> QuantizedMatrix {
        guard let hessian else { return groups.quantize(weight) }
        precondition(
            weight.ndim == 2 && hessian.shape == [weight.dim(1), weight.dim(1)],
            "GPTQ: a weight of shape \(weight.shape) with H of shape \(hessian.shape)")
        return try noGrad {
            let dead: Tensor = hessian.diagonal() .== 0
            let lively: Tensor = hessian.asType(.float64) + dead.asType(.float64).diagonalEmbedded()
            let order: [Int] = columnOrder(lively)
            let indices: Tensor = Tensor(order, [order.count], device: weight.device)
            let values: Tensor = weight.asType(.float64).maskedFill(dead, 0).indexSelect(axis: 1, indices: indices)
            let ordered: Tensor = lively.indexSelect(axis: 0, indices: indices).indexSelect(axis: 1, indices: indices)
            var run: GPTQRun = GPTQRun(values, factor: try factor(ordered), groups: groups)
            for start in stride(from: 0, to: order.count, by: Self.blockColumns) {
                run.quantizeBlock(start..<min(start + Self.blockColumns, order.count), order: order)
            }
            return run.matrix(order: indices)
        }
    }

    /// The upper U with H⁻¹ = Uᵀ U of the damped H.
    private func factor(_ hessian: Tensor) throws -> Tensor {
        let shift: Tensor = hessian.diagonal().mean() * damping
        let damped: Tensor = hessian + Tensor.eye(hessian.dim(0), dtype: .float64, device: hessian.device) * shift
        do {
            return try withTorchErrors { damped.inverse().cholesky(upper: true) }
        } catch {
            throw ConfigurationError("GPTQ: the inputs' second moments are not positive definite with damping \(damping); raise it")
        }
    }

    /// The columns in the order in which they are rounded; a group's are neighbours.
    private func columnOrder(_ hessian: Tensor) -> [Int] {
        let columns: Range<Int> = 0..<hessian.dim(0)
        guard actOrder else { return Array(columns) }
        let weights: [Double] = hessian.diagonal().array()
        let members: [[Int]] = stride(from: 0, to: columns.count, by: groups.groupSize).map { start in
            (start..<min(start + groups.groupSize, columns.count)).sorted { (weights[$0], $1) > (weights[$1], $0) }
        }
        let sums: [Double] = members.map { $0.reduce(0) { $0 + weights[$1] } }
        return members.indices.sorted { (sums[$0], $1) > (sums[$1], $0) }.flatMap { members[$0] }
    }
}

/// The state of one matrix's quantisation, columns in the order in which they are rounded.
private struct GPTQRun {
    private let weights: Tensor
    private let factor: Tensor
    private let groups: GroupQuantizer
    private var codes: [Tensor] = []
    private var scales: [Int: Tensor] = [:]
    private var zeros: [Int: Tensor] = [:]

    init(_ weights: Tensor, factor: Tensor, groups: GroupQuantizer) {
        self.weights = weights.cloned()
        self.factor = factor
        self.groups = groups
    }

    mutating func quantizeBlock(_ columns: Range<Int>, order: [Int]) {
        var losses: [Tensor] = []
        // What the columns of this block lose is applied to the columns beyond it at the end, but a group that begins here may reach beyond.
        for column in columns {
            let group: Int = order[column] / groups.groupSize
            if scales[group] == nil {
                begin(group, at: column, order: order, losses: losses, from: columns.lowerBound, to: columns.upperBound)
            }
            guard let scale = scales[group], let zero = zeros[group] else { preconditionFailure("GPTQ: a group has no parameters") }
            let current: Tensor = weights.narrowed(axis: 1, start: column, length: 1)
            let code: Tensor = groups.codes(of: current, scale: scale, zero: zero)
            let loss: Tensor = (current - (code - zero) * scale) / factor[column, column]
            codes.append(code)
            losses.append(loss)
            let rest: Int = columns.upperBound - column - 1
            if rest > 0 {
                let row: Tensor = factor.narrowed(axis: 0, start: column, length: 1).narrowed(axis: 1, start: column + 1, length: rest)
                weights.narrowed(axis: 1, start: column + 1, length: rest).subtract_(loss.matmul(row))
            }
        }
        let beyond: Int = weights.dim(1) - columns.upperBound
        if beyond > 0 {
            weights.narrowed(axis: 1, start: columns.upperBound, length: beyond).subtract_(
                concatenated(losses, axis: 1).matmul(
                    factor.narrowed(axis: 0, start: columns.lowerBound, length: columns.count).narrowed(
                        axis: 1, start: columns.upperBound, length: beyond)))
        }
    }

    /// Scale and zero point of a group whose first column comes, from its weights with all that was moved into them until now.
    private mutating func begin(_ group: Int, at column: Int, order: [Int], losses: [Tensor], from start: Int, to end: Int) {
        let size: Int = order[column...].prefix(groups.groupSize).count { $0 / groups.groupSize == group }
        var current: Tensor = weights.narrowed(axis: 1, start: column, length: size)
        let beyond: Int = column + size - end
        if beyond > 0, !losses.isEmpty {
            let rows: Tensor = factor.narrowed(axis: 0, start: start, length: losses.count).narrowed(axis: 1, start: end, length: beyond)
            let far: Tensor = weights.narrowed(axis: 1, start: end, length: beyond) - concatenated(losses, axis: 1).matmul(rows)
            current = concatenated([weights.narrowed(axis: 1, start: column, length: size - beyond), far], axis: 1)
        }
        (scales[group], zeros[group]) = groups.parameters(of: current)
    }

    /// The result, columns as they were in the weight.
    func matrix(order: Tensor) -> QuantizedMatrix {
        let places: Tensor = order.argSort()
        func inOrder(_ values: [Int: Tensor]) -> Tensor { concatenated(values.sorted { $0.key < $1.key }.map(\.value), axis: 1) }
        return QuantizedMatrix(
            quantizer: groups, codes: concatenated(codes, axis: 1).indexSelect(axis: 1, indices: places).asType(.uint8),
            scales: inOrder(scales).asType(.float16), zeros: inOrder(zeros).asType(.uint8))
    }
}
