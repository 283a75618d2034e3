import Torch

/// LiT's hybrid distillation: a student follows a teacher's noise and its variance of the reverse step, `λ₁ MSE(ε) + λ₂ MSE(v)`.
///
/// Both models have to see the same noisy images, steps and labels, dropped labels included; the teacher is frozen.
///
/// Source: LiT (arXiv 2501.12976), section 3.3.
public struct HybridDistillationLoss: Codable, Sendable, Equatable {
    /// What of the variance is compared.
    public enum VarianceTarget: String, Codable, Sendable, CaseIterable {
        /// The model's own channels v; variances themselves are too small for a useful gradient.
        case raw
        /// The logarithm of the variance, which weighs v by how far its bounds lie apart at the step.
        case logVariance
    }

    /// λ₁, the weight of the noise.
    public var noiseWeight: Double
    /// λ₂, the weight of the variance; 0 distils the noise alone.
    public var varianceWeight: Double
    public var target: VarianceTarget

    /// - Throws: `ConfigurationError` for a weight that is negative or not finite.
    public init(noiseWeight: Double = 0.5, varianceWeight: Double = 0.05, target: VarianceTarget = .raw) throws {
        self.noiseWeight = noiseWeight
        self.varianceWeight = varianceWeight
        self.target = target
        for (name, weight) in [("noiseWeight", noiseWeight), ("varianceWeight", varianceWeight)] where !(weight >= 0 && weight.isFinite) {
            throw ConfigurationError("distillation.\(name) is \(weight); it has to be at least 0")
        }
    }

    /// A scalar; gradients reach the student only.
    /// - Parameters:
    ///   - student: its prediction.
    ///   - teacher: its prediction for the same input.
    ///   - steps: `[B]`.
    ///   - diffusion: whose variance is compared, for ``VarianceTarget/logVariance``.
    public func callAsFunction(
        student: NoisePrediction, teacher: NoisePrediction, steps: Tensor, diffusion: GaussianDiffusion
    ) -> Tensor {
        let noise: Tensor = meanSquaredError(student.noise, teacher.noise.detached()) * noiseWeight
        if varianceWeight == 0 { return noise }
        func compared(_ v: Tensor) -> Tensor { target == .raw ? v : diffusion.logVariance(v, steps: steps) }
        let variance: Tensor = meanSquaredError(compared(student.variance), compared(teacher.variance.detached()))
        return noise + variance * varianceWeight
    }
}
