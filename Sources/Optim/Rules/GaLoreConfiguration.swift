import Foundation
import Torch

/// GaLore-AdamW (Zhao et al. 2024, algorithms 1 and 2; the official code where the two differ): Adam's moments of a matrix live in a subspace of
/// r directions, chosen anew from the gradient every ``updateGap`` steps.
///
/// With B of the projector, `R = G B`, moments of R as in Adam, `N = m / (sqrt(v) + epsilon)` (epsilon is not corrected for the bias), and
/// `p -= learningRate · sqrt(1 - beta2^t) / (1 - beta1^t) · scale · N Bᵀ`; then `p -= learningRate · weightDecay · p`. Moments stay as they are when
/// the directions change. What is no matrix, and what ``exclude`` names, is updated by AdamW.
public struct GaLoreConfiguration: UpdateRule {
    /// Which side of a matrix `[m, n]` is projected.
    public enum Projection: String, Codable, Sendable, CaseIterable {
        /// The shorter: the right one for m ≥ n, else the left one.
        case std
        /// The longer.
        case reverseStd
        case left, right
        /// Both, to r x r.
        case full
    }

    /// What becomes of the part of the gradient outside the subspace, `E = G - R Bᵀ`.
    public enum Residual: String, Codable, Sendable, CaseIterable {
        /// Nothing, as in GaLore.
        case discarded
        /// `sign(E)` is added to the update, as in FRUGAL.
        case sign
        /// `E · ‖N‖ / ‖R‖` is added, as in Fira: what Adam did to the size of the projected part it is taken to do to the rest.
        case scaled
    }

    public var learningRate: Double
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double
    /// Directions r, at most as many as the matrix' shorter side has elements.
    public var rank: Int
    /// Steps between two choices of directions.
    public var updateGap: Int
    /// Factor on the matrices' updates.
    public var scale: Double
    public var projection: Projection
    public var projector: ProjectorKind
    public var residual: Residual
    /// Of random projections.
    public var seed: UInt64
    /// Words that one of the dotted parts of a parameter's name begins or ends with where AdamW is to update it.
    public var exclude: [String]

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-2, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-6, weightDecay: Double = 0,
        rank: Int = 128, updateGap: Int = 200, scale: Double = 0.25, projection: Projection = .std, projector: ProjectorKind = .svd,
        residual: Residual = .discarded, seed: UInt64 = 0, exclude: [String]? = nil
    ) throws {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.rank = rank
        self.updateGap = updateGap
        self.scale = scale
        self.projection = projection
        self.projector = projector
        self.residual = residual
        self.seed = seed
        self.exclude = exclude ?? ExcludedNames.embeddingsAndHeads
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("GaLore")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.positive(rank, "rank")
        try requirement.positive(updateGap, "updateGap")
        try requirement.nonNegative(scale, "scale")
    }

    public func applies(to name: String, shape: [Int]) -> Bool { shape.count == 2 && !ExcludedNames.contains(name, among: exclude) }

    public var fallback: any UpdateRule {
        AdamWConfiguration(unchecked: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
    }

    public func stateNames(shape: [Int]) -> [String] {
        let sides: (left: Bool, right: Bool) = sides(of: shape)
        return ["exp_avg", "exp_avg_sq"] + (sides.left ? ["left_projector"] : []) + (sides.right ? ["right_projector"] : [])
    }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        let shape: [Int] = parameter.shape
        switch name {
        case "left_projector": return projector.projector.emptyBasis(of: shape[0], rank: rank(of: shape), like: parameter)
        case "right_projector": return projector.projector.emptyBasis(of: shape[1], rank: rank(of: shape), like: parameter)
        default:
            let sides: (left: Bool, right: Bool) = sides(of: shape)
            let rank: Int = rank(of: shape)
            return .zeros(
                [sides.left ? rank : shape[0], sides.right ? rank : shape[1]], dtype: parameter.dtype, device: parameter.device)
        }
    }

    public func update(_ batch: UpdateBatch) {
        if (batch.step - 1) % updateGap == 0 { chooseDirections(batch) }
        let subspaces: [Subspace] = batch.parameters.indices.map { subspace(of: $0, batch) }
        let low: [Tensor] = zip(subspaces, batch.gradients).map { $0.project($1) }
        let updates: [Tensor] = normalized(low, batch)
        let correction: Double = (1 - pow(beta2, Double(batch.step))).squareRoot() / (1 - pow(beta1, Double(batch.step)))
        TensorList.multiply_(updates, by: correction)
        let changes: [Tensor] = batch.parameters.indices.map { index in
            let change: Tensor = subspaces[index].lift(updates[index])
            addResidual(to: change, of: batch.gradients[index], low[index], updates[index], subspaces[index])
            return change
        }
        TensorList.add_(batch.parameters, changes, scale: -batch.learningRate * scale)
        batch.decayParameters()
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, beta1, beta2, epsilon, weightDecay, rank, updateGap, scale, projection, projector, residual, seed, exclude
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "GaLore")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.rank, into: &rank)
        try fields.read(.updateGap, into: &updateGap)
        try fields.read(.scale, into: &scale)
        try fields.read(.projection, into: &projection)
        try fields.read(.projector, into: &projector)
        try fields.read(.residual, into: &residual)
        try fields.read(.seed, into: &seed)
        try fields.read(.exclude, into: &exclude)
        try validate()
    }
}

// The parts of one update.
extension GaLoreConfiguration {
    private func sides(of shape: [Int]) -> (left: Bool, right: Bool) {
        let isTall: Bool = shape[0] >= shape[1]
        return switch projection {
        case .std: (!isTall, isTall)
        case .reverseStd: (isTall, !isTall)
        case .left: (true, false)
        case .right: (false, true)
        case .full: (true, true)
        }
    }

    private func rank(of shape: [Int]) -> Int { min(rank, shape[0], shape[1]) }

    private func chooseDirections(_ batch: UpdateBatch) {
        let projector: any LowRankProjector = projector.projector
        for index in batch.parameters.indices {
            let gradient: Tensor = batch.gradients[index]
            let seed: UInt64 = projectionSeed(batch.names[index], step: batch.step, seed: seed)
            let matrices: [Tensor] = sidewise(gradient.shape, left: gradient.transposed(), right: gradient)
            for (number, matrix) in matrices.enumerated() {
                let stored: Tensor = batch.state[2 + number][index]
                let previous: Tensor? = batch.step == 1 ? nil : stored
                stored.copy_(
                    from: projector.basis(for: matrix, rank: rank(of: gradient.shape), previous: previous, seed: seed &+ UInt64(number)))
            }
        }
    }

    /// What is given for the sides that are projected, in the order of their state.
    private func sidewise<Value>(_ shape: [Int], left: Value, right: Value) -> [Value] {
        let sides: (left: Bool, right: Bool) = sides(of: shape)
        return (sides.left ? [left] : []) + (sides.right ? [right] : [])
    }

    private func subspace(of index: Int, _ batch: UpdateBatch) -> Subspace {
        let gradient: Tensor = batch.gradients[index]
        let sides: (left: Bool, right: Bool) = sides(of: gradient.shape)
        let projector: any LowRankProjector = projector.projector
        return Subspace(
            left: sides.left ? projector.columns(batch.state[2][index], of: gradient.dim(0), like: gradient) : nil,
            right: sides.right ? projector.columns(batch.state[sides.left ? 3 : 2][index], of: gradient.dim(1), like: gradient) : nil)
    }

    /// `m / (sqrt(v) + epsilon)` after these projected gradients, without the bias' correction.
    private func normalized(_ low: [Tensor], _ batch: UpdateBatch) -> [Tensor] {
        TensorList.interpolate_(batch.state[0], to: low, weight: 1 - beta1)
        TensorList.multiply_(batch.state[1], by: beta2)
        TensorList.addProduct_(batch.state[1], low, low, scale: 1 - beta2)
        let roots: [Tensor] = TensorList.sqrt(batch.state[1])
        TensorList.add_(roots, epsilon)
        return TensorList.divide(batch.state[0], by: roots)
    }

    private func addResidual(to change: Tensor, of gradient: Tensor, _ low: Tensor, _ update: Tensor, _ subspace: Subspace) {
        switch residual {
        case .discarded: return
        case .sign: change.add_((gradient - subspace.lift(low)).sign())
        case .scaled:
            let size: Tensor = update.norm() / (low.norm() + 1e-8)
            change.add_((gradient - subspace.lift(low)) * size)
        }
    }
}
