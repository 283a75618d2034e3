import Torch

/// How rough probability vectors over neighbouring bins are, lower being smoother: `Σ_{σ=1}^{100} (6/π²) σ⁻² ‖y − G_σ ∗ y‖₂` with Gaussian
/// filters that wrap round at the ends and reach `m − 1` bins to either side (arXiv 2410.22269, definition 3.2).
/// - Parameter pmf: `[..., m]`.
/// - Returns: `[...]`, float64; 0 for the uniform vector.
public func smoothness(_ pmf: Tensor) -> Tensor {
    let bins: Int = pmf.dim(-1)
    let widths: Tensor = (Tensor.arange(100, dtype: .float64, device: pmf.device) + 1).expandedDimensions(axis: -1)
    // ‖y − G ∗ y‖² by Parseval's theorem, so that all filters are one product of matrices.
    let losses: Tensor = (1 - gaussianResponses(widths, bins: bins)).square()
    let transform: Tensor = pmf.asType(.float64).fft()
    let power: Tensor = transform.real().square() + transform.imaginary().square()
    let distances: Tensor = (power.matmul(losses.mT) / Double(bins)).sqrt()
    return (distances / widths.squeezed(axis: -1).square()).sum(axis: -1) * (6 / (Double.pi * Double.pi))
}

/// The transforms of the wrapped filters, one for each width: `[widths, m]`, real since the filters are symmetric.
private func gaussianResponses(_ widths: Tensor, bins: Int) -> Tensor {
    let offsets: Tensor = .arange(bins, dtype: .float64, device: widths.device)
    func filter(_ distances: Tensor) -> Tensor { ((distances / widths).square() * -0.5).exp() }
    // The place n is n to the right of the centre and, for n above 0, also m − n to its left.
    let wrapped: Tensor = filter(offsets) + filter(Double(bins) - offsets) * (offsets .> 0).asType(.float64)
    return (wrapped / wrapped.sum(axis: -1, keepDims: true)).fft().real()
}
