import Torch

/// Trion (arXiv 2505.17967): momentum whose part in r chosen columns of the cosine transform is orthogonalised and taken as the step.
///
/// `M += G`, `S = M Q`, I the r columns of S with the largest norms, `s = S[:, I]`, `M -= (1 - momentum) · s Q[:, I]ᵀ`, and
/// `p -= learningRate · orthogonalized(s) Q[:, I]ᵀ` after `p *= 1 - learningRate · weightDecay`. What is left out of the step stays in M. A wide matrix is
/// transposed. Vectors and what ``exclude`` names are updated by AdamW at ``fallbackRate``.
public struct TrionConfiguration: UpdateRule {
    public var learningRate: Double
    public var momentum: Double
    public var weightDecay: Double
    /// Columns, at most as many as the shorter side has elements.
    public var rank: Int
    public var norm: ColumnSelector.Norm
    public var method: DCTMethod
    /// AdamW's learning rate where the optimizer's is ``learningRate``.
    public var fallbackRate: Double
    /// Words that one of the dotted parts of a parameter's name begins or ends with where AdamW is to update it.
    public var exclude: [String]

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 0.02, momentum: Double = 0.95, weightDecay: Double = 0, rank: Int = 128, norm: ColumnSelector.Norm = .l1,
        method: DCTMethod = .matmul, fallbackRate: Double = 3e-4, exclude: [String]? = nil
    ) throws {
        self.learningRate = learningRate
        self.momentum = momentum
        self.weightDecay = weightDecay
        self.rank = rank
        self.norm = norm
        self.method = method
        self.fallbackRate = fallbackRate
        self.exclude = exclude ?? ExcludedNames.embeddingsAndHeads
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Trion")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(momentum, "momentum")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.positive(rank, "rank")
        try requirement.nonNegative(fallbackRate, "fallbackRate")
    }

    public func applies(to name: String, shape: [Int]) -> Bool { shape.count == 2 && !ExcludedNames.contains(name, among: exclude) }

    public var fallback: any UpdateRule {
        AdamWConfiguration(unchecked: fallbackRate, beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay: weightDecay)
    }

    public func stateNames(shape: [Int]) -> [String] { ["momentum_buffer"] }

    public func update(_ batch: UpdateBatch) {
        TensorList.add_(batch.state[0], batch.gradients)
        let changes: [Tensor] = batch.state[0].map { change(consuming: $0) }
        batch.decayParameters()
        TensorList.add_(batch.parameters, changes, scale: -batch.learningRate)
    }

    /// The step of a momentum `[m, n]`, of which the step's columns are then taken out.
    private func change(consuming buffer: Tensor) -> Tensor {
        let isWide: Bool = buffer.dim(0) < buffer.dim(1)
        let tall: Tensor = isWide ? buffer.transposed() : buffer
        let transformed: Tensor = dct2(tall, method: method)
        let columns: Tensor = ColumnSelector(rank: min(rank, tall.dim(1)), norm: norm)(transformed)
        let basis: Tensor = DCTBasis.shared(tall.dim(1), dtype: tall.dtype, device: tall.device).matrix.indexSelect(
            axis: 0, indices: columns)
        let low: Tensor = transformed.indexSelect(axis: 1, indices: columns)
        tall.subtract_(low.matmul(basis) * (1 - momentum))
        let change: Tensor = orthogonalized(low).matmul(basis)
        return isWide ? change.transposed() : change
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, momentum, weightDecay, rank, norm, method, fallbackRate, exclude
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Trion")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.momentum, into: &momentum)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.rank, into: &rank)
        try fields.read(.norm, into: &norm)
        try fields.read(.method, into: &method)
        try fields.read(.fallbackRate, into: &fallbackRate)
        try fields.read(.exclude, into: &exclude)
        try validate()
    }
}

/// A matrix with all singular values moved towards 1, by Newton and Schulz' iteration with the coefficients of Muon (Jordan et al. 2024): after five rounds
/// they lie in about 0.7 … 1.2. Singular vectors stay.
/// - Parameters:
///   - matrix: `[m, n]`.
///   - rounds: of the iteration.
public func orthogonalized(_ matrix: Tensor, rounds: Int = 5) -> Tensor {
    let isTall: Bool = matrix.dim(0) > matrix.dim(1)
    var x: Tensor = isTall ? matrix.transposed() : matrix
    x = x / (x.norm() + 1e-7)
    for _ in 0..<rounds {
        let gram: Tensor = x.matmul(x.transposed())
        x = x * 3.4445 + (gram * -4.7750 + gram.matmul(gram) * 2.0315).matmul(x)
    }
    return isTall ? x.transposed() : x
}
