import NN
import Torch

extension Tensor {
    /// `x / (‖x‖ / √D + eps)` over the last axis, `[..., D]`: root mean square 1, without a weight.
    ///
    /// `eps` stands outside the root. A row of zeros stays zero, but the gradient there is `1 / eps` times what comes in, so what is
    /// no token has to be masked before.
    public func simpleRMSNormalized(eps: Double = 1e-8) -> Tensor {
        let x: Tensor = dtype == .float64 ? self : asType(.float32)
        let root: Tensor = x.norm(axes: [-1], keepDims: true) / Double(dim(-1)).squareRoot()
        return (x / (root + eps)).asType(dtype)
    }
}

/// The normalisation of TransNormer: `x / (‖x‖ / √D + eps)` for `[..., D]`, without parameters (arXiv 2210.10340, section 4).
public final class SimpleRMSNorm: Module, UnaryLayer {
    public let eps: Double

    public init(eps: Double = 1e-8) {
        self.eps = eps
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.simpleRMSNormalized(eps: eps) }
}
