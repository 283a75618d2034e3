import Foundation
import NN
import Torch

/// A function of one variable by its Fourier transform, `f(z) = ∫ F(ξ) e^(2πiξz) dξ`: which frequencies ``UniversalRandomFeatures`` draw.
public enum SpectralActivation: Codable, Sendable, Hashable {
    case cosine
    case sine
    /// `exp(-z² / 2)`
    case gaussian
    /// An activation on a window, by a numerical transform: as it is for `|z| ≤ window`, faded out by half a cosine up to twice that, with the frequencies
    /// up to `maximumFrequency`. What is lost is small where the activation is smooth; features grow with the frequency.
    case windowed(Activation, window: Double = 4, maximumFrequency: Double = 1)

    /// Frequencies that were drawn and `F(ξ) / p(ξ)`, real and imaginary part, each `[count]`.
    struct Draw {
        let frequencies: Tensor
        let real: Tensor
        let imaginary: Tensor
    }

    /// The function itself, where no window ends it.
    public func callAsFunction(_ z: Tensor) -> Tensor {
        switch self {
        case .cosine: z.cos()
        case .sine: z.sin()
        case .gaussian: (z.square() * -0.5).exp()
        case .windowed(let activation, _, _): activation(z)
        }
    }

    func draw(_ count: Int, generator: RandomGenerator?) -> Draw {
        switch self {
        case .cosine, .sine:
            // Point masses at ± 1 / 2π.
            let signs: Tensor = Tensor.bernoulli([count], probability: 0.5, generator: generator) * 2 - 1
            let frequencies: Tensor = signs / (2 * Double.pi)
            guard self == .sine else { return Draw(frequencies: frequencies, real: signs.onesLike(), imaginary: signs.zerosLike()) }
            return Draw(frequencies: frequencies, real: signs.zerosLike(), imaginary: -signs)
        case .gaussian:
            let frequencies: Tensor = .normal([count], standardDeviation: 1 / (2 * Double.pi), generator: generator)
            return Draw(frequencies: frequencies, real: frequencies.onesLike(), imaginary: frequencies.zerosLike())
        case .windowed(let activation, let window, let maximumFrequency):
            return NumericalSpectrum(activation, window: window, maximumFrequency: maximumFrequency).draw(count, generator: generator)
        }
    }
}

/// The Fourier transform of an activation on a window, on a grid of frequencies.
struct NumericalSpectrum {
    /// `[frequencies]`, float64 like the others.
    let frequencies: Tensor
    let real: Tensor
    let imaginary: Tensor
    private let spacing: Double

    /// Traps unless window and highest frequency are above 0.
    init(_ activation: Activation, window: Double, maximumFrequency: Double) {
        precondition(window > 0 && maximumFrequency > 0, "a spectrum up to \(maximumFrequency) of a window of \(window)")
        // A grid this fine makes the function periodic only beyond twice the faded window.
        spacing = 1 / (8 * window)
        let half: Int = max(1, Int((maximumFrequency / spacing).rounded()))
        frequencies = Tensor.arange(-half, half + 1, step: 1, dtype: .float64, device: .cpu) * spacing
        // Ten points in the shortest wave, and enough for the shape of the function.
        let points: Int = max(2048, Int(40 * window * maximumFrequency))
        let z: Tensor = .linspace(-2 * window, 2 * window, count: points + 1, dtype: .float64, device: .cpu)
        let phase: Tensor = ((z.abs() - window) / window).clamped(0, 1) * Double.pi
        let values: Tensor = activation(z) * ((phase.cos() + 1) * 0.5) * (4 * window / Double(points))
        let angles: Tensor = frequencies.outer(z) * (-2 * Double.pi)
        real = angles.cos().matmul(values)
        imaginary = angles.sin().matmul(values)
    }

    /// The function that the grid's frequencies make up, `[...]` to the same.
    func callAsFunction(_ z: Tensor) -> Tensor {
        let angles: Tensor = z.expandedDimensions(axis: -1) * frequencies * (2 * Double.pi)
        return ((angles.cos() * real - angles.sin() * imaginary) * spacing).sum(axis: -1)
    }

    /// By inverse transform on the grid, with probabilities in proportion to |F|; the ratio is then F's direction times the sum of all.
    func draw(_ count: Int, generator: RandomGenerator?) -> SpectralActivation.Draw {
        let sizes: Tensor = (real.square() + imaginary.square()).sqrt()
        let cumulative: Tensor = sizes.cumulativeSum(axis: 0)
        let total: Tensor = cumulative.narrowed(axis: 0, start: cumulative.count - 1, length: 1)
        let places: Tensor = Tensor.uniform([count], dtype: .float64, device: .cpu, generator: generator) * total
        let picked: Tensor = cumulative.searchSorted(places).clamped(0, Double(cumulative.count - 1)).asType(.int64)
        let scale: Tensor = total * spacing / sizes.indexSelect(axis: 0, indices: picked)
        func ratio(_ part: Tensor) -> Tensor { (part.indexSelect(axis: 0, indices: picked) * scale).to(device: .default, dtype: .float32) }
        return SpectralActivation.Draw(
            frequencies: frequencies.indexSelect(axis: 0, indices: picked).to(device: .default, dtype: .float32), real: ratio(real),
            imaginary: ratio(imaginary))
    }
}
