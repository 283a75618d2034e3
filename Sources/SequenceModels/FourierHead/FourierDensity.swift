import Torch

/// Probability densities on [−1, 1] as truncated Fourier series, `p(z) = ½ + Re Σ_{k=1}^F (c_k / c_0) e^{ikπz}` (Gillman et al., 2024,
/// *Fourier Head*, arXiv 2410.22269, section 3).
///
/// The coefficients are the autocorrelation of amplitudes a_0 … a_F, so that `p(z) = |Σ_l a_l e^{ilπz}|² / (2 c_0)` is nowhere negative and
/// integrates to 1. The series has period 2: mass at one end of the interval leaks to the other.
///
/// Places `z` are `[N]`, the same for all densities, or `[..., N]` with places of their own for each.
public struct FourierDensity {
    /// Complex, `[..., F + 1]`; neither a common phase nor a common factor changes the density.
    public let amplitudes: Tensor
    /// `c_0 … c_F`, complex, `[..., F + 1]`.
    public let autocorrelation: Tensor
    /// `c_k / c_0` for k = 1 … F as real and imaginary parts, `[..., F]`.
    private let real: Tensor
    private let imaginary: Tensor
    /// `c_0`, `[..., 1]`.
    private let energy: Tensor

    /// - Parameters:
    ///   - amplitudes: complex, `[..., F + 1]` with F at least 0.
    ///   - method: of the autocorrelation.
    public init(amplitudes: Tensor, method: AutocorrelationMethod = .fft) {
        self.amplitudes = amplitudes
        autocorrelation = SequenceModels.autocorrelation(amplitudes, method: method)
        let frequencies: Int = amplitudes.dim(-1) - 1
        // Amplitudes that are all 0 count as the uniform density, without a division by 0.
        energy = autocorrelation.narrowed(axis: -1, start: 0, length: 1).real().clamped(1e-30)
        let higher: Tensor = autocorrelation.narrowed(axis: -1, start: 1, length: frequencies)
        real = higher.real() / energy
        imaginary = higher.imaginary() / energy
    }

    /// F.
    public var frequencies: Int { amplitudes.dim(-1) - 1 }

    /// `p(z)`, `[..., N]`, by the series. Rounding can leave it below 0 by a few units in the last place of ½.
    public func pdf(_ z: Tensor) -> Tensor {
        let angles: Tensor = angles(at: z, from: 1)
        return along(real, angles.cos()) - along(imaginary, angles.sin()) + 0.5
    }

    /// `log p(z)`, `[..., N]`, by the squared modulus, which rounding cannot make negative; at least −69.
    public func logPDF(_ z: Tensor) -> Tensor {
        let angles: Tensor = angles(at: z, from: 0)
        let (cosines, sines): (Tensor, Tensor) = (angles.cos(), angles.sin())
        let waveReal: Tensor = along(amplitudes.real(), cosines) - along(amplitudes.imaginary(), sines)
        let waveImaginary: Tensor = along(amplitudes.real(), sines) + along(amplitudes.imaginary(), cosines)
        return ((waveReal.square() + waveImaginary.square()) / (2 * energy)).clamped(1e-30).log()
    }

    /// The share of the mass below z, `(z + 1) / 2 + Re Σ (c_k / c_0) (e^{ikπz} − (−1)^k) / (ikπ)`, `[..., N]`.
    public func cdf(_ z: Tensor) -> Tensor {
        let angles: Tensor = angles(at: z, from: 1)
        let frequency: Tensor = multiples(from: 1)
        let sign: Tensor = (frequency * Double.pi).cos()
        let scale: Tensor = (frequency * Double.pi).reciprocal()
        return along(real, angles.sin() * scale) + along(imaginary, (angles.cos() - sign) * scale) + (z + 1) / 2
    }

    /// The places below which the given shares of the mass lie, by bisection; without a gradient.
    /// - Parameters:
    ///   - shares: in 0 … 1, `[..., N]`.
    ///   - steps: halvings of [−1, 1]; 25 of them leave 6e-8.
    /// - Returns: `[..., N]`.
    public func quantile(_ shares: Tensor, steps: Int = 25) -> Tensor {
        noGrad {
            var low: Tensor = shares.zerosLike() - 1
            var high: Tensor = shares.onesLike()
            for _ in 0..<steps {
                let middle: Tensor = (low + high) / 2
                let isBelow: Tensor = cdf(middle) .< shares
                low = which(isBelow, middle, low)
                high = which(isBelow, high, middle)
            }
            return (low + high) / 2
        }
    }

    /// `count` draws from each density, `[..., count]`.
    public func sample(_ count: Int, generator: RandomGenerator? = nil) -> Tensor {
        let shape: [Int] = Array(amplitudes.shape.dropLast()) + [count]
        return quantile(Tensor.uniform(shape, dtype: real.dtype, device: real.device, generator: generator))
    }

    /// Probabilities of `bins` equal bins, `[..., bins]`: the densities at their centres, scaled to sum to 1 (the paper's step 3).
    public func probabilities(bins: Int) -> Tensor {
        let densities: Tensor = pdf(Self.binCentres(bins, dtype: real.dtype, device: real.device))
        return densities / densities.sum(axis: -1, keepDims: true)
    }

    /// The centres `−1 + (2j + 1) / m` of m equal bins of [−1, 1].
    public static func binCentres(_ bins: Int, dtype: DType = .float32, device: Device = .default) -> Tensor {
        (Tensor.arange(bins, dtype: dtype, device: device) * 2 + 1) / Double(bins) - 1
    }

    /// `2 Σ_k 2π²k² |c_k|²`, `[...]`: grows with the weight of high frequencies (the paper's regulariser).
    /// - Parameter normalized: take `c_k / c_0`, which scaling the amplitudes does not change.
    public func roughness(normalized: Bool) -> Tensor {
        let scale: Tensor = normalized ? energy.onesLike() : energy
        let power: Tensor = ((real * scale).square() + (imaginary * scale).square()) * multiples(from: 1).squeezed(axis: -1).square()
        return power.sum(axis: -1) * (4 * Double.pi * Double.pi)
    }

    /// `first … F`, `[·, 1]`.
    private func multiples(from first: Int) -> Tensor {
        (Tensor.arange(frequencies + 1 - first, dtype: real.dtype, device: real.device) + first).expandedDimensions(axis: -1)
    }

    /// `kπz` for k from `first` to F, `[..., ·, N]`.
    private func angles(at z: Tensor, from first: Int) -> Tensor {
        multiples(from: first) * Double.pi * z.asType(real.dtype).expandedDimensions(axis: -2)
    }

    /// Sums coefficients `[..., F]` against `[..., F, N]`.
    private func along(_ coefficients: Tensor, _ basis: Tensor) -> Tensor {
        coefficients.expandedDimensions(axis: -2).matmul(basis).squeezed(axis: -2)
    }
}
