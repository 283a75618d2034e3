import Foundation
import Torch

/// DCT-AdamW (arXiv 2505.17967): Adam's moments of a matrix live in r columns of one fixed cosine transform, chosen at every step by their alignment with
/// the gradient. No decomposition; a layer stores r indices, and layers of one width share the transform.
///
/// For a gradient G `[m, n]`, m ≥ n (a wide one is transposed): `A = G + E`, `S = A Q`, the columns I of S with the largest norms, `a = S[:, I]`. Where I
/// changed, moments of columns in both choices are carried over and new ones begin at 0. Then AdamW with a, `p *= 1 - learningRate · weightDecay`,
/// `p -= learningRate · sqrt(1 - beta2^t) / (1 - beta1^t) · m / (sqrt(v) + epsilon · sqrt(1 - beta2^t)) · Q[:, I]ᵀ`, and with error feedback
/// `E = A - a Q[:, I]ᵀ` for the next step. What is no matrix, has a side of at least ``maximumSide``, no side longer than r, or a name
/// among ``exclude`` is updated by AdamW.
public struct DCTAdamWConfiguration: UpdateRule {
    /// Which columns are taken.
    public enum Columns: String, Codable, Sendable, CaseIterable {
        /// Those with the largest norms.
        case largest
        /// Random ones, the baseline that does not look at the gradient.
        case random
        /// The first r, the lowest frequencies.
        case first
    }

    /// How the part of the gradient that the projection leaves out is kept for the next step.
    public enum ErrorFeedback: String, Codable, Sendable, CaseIterable {
        case none
        /// In the parameter's precision.
        case full
        /// In 8 bits an element, each row scaled by itself.
        case bits8
        /// In 4 bits an element.
        case bits4
    }

    public var learningRate: Double
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double
    /// Columns r.
    public var rank: Int
    /// Columns are chosen at step 1 and at every multiple of this.
    public var updateGap: Int
    /// Whether moments follow their columns when the choice changes; otherwise they stay in their places.
    public var rotate: Bool
    public var errorFeedback: ErrorFeedback
    public var columns: Columns
    public var norm: ColumnSelector.Norm
    public var method: DCTMethod
    public var maximumSide: Int
    /// Of random columns.
    public var seed: UInt64
    /// Words that one of the dotted parts of a parameter's name begins or ends with where AdamW is to update it.
    public var exclude: [String]

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0,
        rank: Int = 128, updateGap: Int = 1, rotate: Bool = true, errorFeedback: ErrorFeedback = .none, columns: Columns = .largest,
        norm: ColumnSelector.Norm = .l1, method: DCTMethod = .matmul, maximumSide: Int = 32_000, seed: UInt64 = 0, exclude: [String]? = nil
    ) throws {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.rank = rank
        self.updateGap = updateGap
        self.rotate = rotate
        self.errorFeedback = errorFeedback
        self.columns = columns
        self.norm = norm
        self.method = method
        self.maximumSide = maximumSide
        self.seed = seed
        self.exclude = exclude ?? ExcludedNames.embeddingsAndHeads
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("DCT-AdamW")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.positive(rank, "rank")
        try requirement.positive(updateGap, "updateGap")
        try requirement.positive(maximumSide, "maximumSide")
    }

    public func applies(to name: String, shape: [Int]) -> Bool {
        shape.count == 2 && shape[0] < maximumSide && shape[1] < maximumSide && rank < min(shape[0], shape[1])
            && !ExcludedNames.contains(name, among: exclude)
    }

    public var fallback: any UpdateRule {
        AdamWConfiguration(unchecked: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
    }

    public func stateNames(shape: [Int]) -> [String] {
        let error: [String] = errorFeedback == .none ? [] : errorFeedback == .full ? ["error"] : RowQuantizer.names
        return ["exp_avg", "exp_avg_sq", "columns"] + error
    }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        let rows: Int = max(parameter.dim(0), parameter.dim(1)), width: Int = min(parameter.dim(0), parameter.dim(1))
        switch name {
        case "columns": return .zeros([rank], dtype: .int32, device: parameter.device)
        case "error": return .zeros([rows, width], dtype: parameter.dtype, device: parameter.device)
        case "exp_avg", "exp_avg_sq": return .zeros([rows, rank], dtype: parameter.dtype, device: parameter.device)
        default:
            let code: [Tensor] = quantizer.zeros(rows, width, like: parameter)
            return code[RowQuantizer.names.firstIndex(of: name) ?? 0]
        }
    }

    public func update(_ batch: UpdateBatch) {
        let low: [Tensor] = batch.parameters.indices.map { project($0, batch) }
        TensorList.interpolate_(batch.state[0], to: low, weight: 1 - beta1)
        TensorList.multiply_(batch.state[1], by: beta2)
        TensorList.addProduct_(batch.state[1], low, low, scale: 1 - beta2)
        let count: Double = Double(batch.step)
        let correction: Double = (1 - pow(beta2, count)).squareRoot()
        let roots: [Tensor] = TensorList.sqrt(batch.state[1])
        TensorList.add_(roots, epsilon * correction)
        let updates: [Tensor] = TensorList.divide(batch.state[0], by: roots)
        let changes: [Tensor] = updates.indices.map { index in
            let lifted: Tensor = updates[index].matmul(basis(batch.state[2][index], like: batch.parameters[index]))
            return isWide(batch.parameters[index]) ? lifted.transposed() : lifted
        }
        batch.decayParameters()
        TensorList.add_(batch.parameters, changes, scale: -batch.learningRate * correction / (1 - pow(beta1, count)))
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, beta1, beta2, epsilon, weightDecay, rank, updateGap, rotate, errorFeedback, columns, norm, method
        case maximumSide, seed, exclude
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "DCT-AdamW")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.rank, into: &rank)
        try fields.read(.updateGap, into: &updateGap)
        try fields.read(.rotate, into: &rotate)
        try fields.read(.errorFeedback, into: &errorFeedback)
        try fields.read(.columns, into: &columns)
        try fields.read(.norm, into: &norm)
        try fields.read(.method, into: &method)
        try fields.read(.maximumSide, into: &maximumSide)
        try fields.read(.seed, into: &seed)
        try fields.read(.exclude, into: &exclude)
        try validate()
    }
}

// The projection of one gradient.
extension DCTAdamWConfiguration {
    private var quantizer: RowQuantizer { RowQuantizer(bits: errorFeedback == .bits8 ? 8 : 4) }

    private func isWide(_ matrix: Tensor) -> Bool { matrix.dim(0) < matrix.dim(1) }

    /// The chosen basis vectors as rows, `[r, n]`, n the shorter side.
    private func basis(_ columns: Tensor, like matrix: Tensor) -> Tensor {
        DCTBasis.shared(min(matrix.dim(0), matrix.dim(1)), dtype: matrix.dtype, device: matrix.device).matrix
            .indexSelect(axis: 0, indices: columns)
    }

    /// The low-rank gradient `[m, r]` of a parameter, after its columns, moments and error were brought up to date.
    private func project(_ index: Int, _ batch: UpdateBatch) -> Tensor {
        let gradient: Tensor = batch.gradients[index]
        var full: Tensor = isWide(gradient) ? gradient.transposed() : gradient
        let error: [Tensor] = batch.state.dropFirst(3).map { $0[index] }
        if !error.isEmpty { full = full + (errorFeedback == .full ? error[0] : quantizer.decode(error, columns: full.dim(1))) }
        let isDue: Bool = batch.step == 1 || batch.step % updateGap == 0
        let low: Tensor = isDue ? chooseColumns(full, index, batch) : project(full, index, batch)
        if !error.isEmpty {
            let rest: Tensor = full - low.matmul(basis(batch.state[2][index], like: gradient))
            let kept: [Tensor] = errorFeedback == .full ? [rest] : quantizer.encode(rest)
            for (target, source) in zip(error, kept) { target.copy_(from: source) }
        }
        return low
    }

    private func project(_ full: Tensor, _ index: Int, _ batch: UpdateBatch) -> Tensor {
        full.matmul(basis(batch.state[2][index], like: full).transposed())
    }

    /// Chooses columns and carries the moments over. The projected gradient is a part of the transformed one: no second product.
    private func chooseColumns(_ full: Tensor, _ index: Int, _ batch: UpdateBatch) -> Tensor {
        let stored: Tensor = batch.state[2][index]
        let transformed: Tensor = dct2(full, method: method)
        let chosen: Tensor = chosenColumns(transformed, index, batch)
        if rotate && batch.step > 1 {
            let places: Tensor = Self.places(of: chosen, in: stored, width: full.dim(1))
            for moment in [batch.state[0][index], batch.state[1][index]] { moment.copy_(from: Self.carried(moment, places)) }
        }
        stored.copy_(from: chosen)
        return transformed.indexSelect(axis: 1, indices: chosen)
    }

    private func chosenColumns(_ transformed: Tensor, _ index: Int, _ batch: UpdateBatch) -> Tensor {
        let device: Device = transformed.device
        switch columns {
        case .largest: return ColumnSelector(rank: rank, norm: norm)(transformed)
        case .first: return .arange(rank, dtype: .int32, device: device)
        case .random:
            let seed: UInt64 = projectionSeed(batch.names[index], step: batch.step, seed: seed)
            let order: Tensor = .randomPermutation(
                transformed.dim(1), device: device, generator: RandomGenerator(seed: seed, device: device))
            return order.narrowed(axis: 0, start: 0, length: rank).sorted().values.asType(.int32)
        }
    }

    /// Where each of the new columns stood among the old ones; r where it did not.
    private static func places(of new: Tensor, in old: Tensor, width: Int) -> Tensor {
        let rank: Int = old.count
        let none: Tensor = .full([width], rank, dtype: .int64, device: old.device)
        let table: Tensor = none.scatter(
            axis: 0, indices: old.asType(.int64), source: .arange(rank, dtype: .int64, device: old.device))
        return table.indexSelect(axis: 0, indices: new)
    }

    /// `M R` with `R = Q[:, old]ᵀ Q[:, new]`, whose entries are 0 and 1: a copy of columns, exact, with zeros for new ones. The same for the second
    /// moment, since `|V R| = V R`.
    private static func carried(_ moment: Tensor, _ places: Tensor) -> Tensor {
        let zero: Tensor = .zeros([moment.dim(0), 1], dtype: moment.dtype, device: moment.device)
        return concatenated([moment, zero], axis: 1).indexSelect(axis: 1, indices: places)
    }
}
