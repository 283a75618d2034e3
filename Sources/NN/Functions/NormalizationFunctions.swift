import Torch

// Normalisations of the last axis.
extension Tensor {
    /// `x / √(Σ x² + eps)` over the last axis: unit Euclidean length, `eps` inside the root and added to the sum.
    public func l2Normalized(eps: Double = 1e-6) -> Tensor {
        let x: Tensor = inNormalizationPrecision
        return (x * (x.square().sum(axis: -1, keepDims: true) + eps).rsqrt()).asType(dtype)
    }

    /// `weight · x / √(mean(x²) + eps)` over the last axis (root mean square normalisation, arXiv 1910.07467).
    /// - Parameters:
    ///   - weight: `[D]` or nil for none.
    ///   - eps: added to the mean square.
    public func rmsNormalized(weight: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
        rmsNorm(self, normalizedShape: [dim(-1)], weight: weight, epsilon: eps)
    }

    /// ``rmsNormalized(weight:eps:)`` and then times `silu(gate)`: norm first, then gate.
    /// - Parameters:
    ///   - gate: of this tensor's shape.
    ///   - weight: `[D]` or nil for none.
    ///   - eps: added to the mean square.
    public func gatedRMSNormalized(gate: Tensor, weight: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
        rmsNormalized(weight: weight, eps: eps) * gate.silu()
    }

    /// Sums of squares lose too much in 16 bits.
    private var inNormalizationPrecision: Tensor { dtype == .float16 || dtype == .bfloat16 ? asType(.float32) : self }
}
