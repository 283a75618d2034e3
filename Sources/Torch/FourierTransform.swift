private let fftOp: Operator = Operator("fft_fft")
private let ifftOp: Operator = Operator("fft_ifft")
private let rfftOp: Operator = Operator("fft_rfft")
private let irfftOp: Operator = Operator("fft_irfft")
private let fftnOp: Operator = Operator("fft_fftn")
private let ifftnOp: Operator = Operator("fft_ifftn")
private let rfftnOp: Operator = Operator("fft_rfftn")
private let irfftnOp: Operator = Operator("fft_irfftn")
private let fftFrequenciesOp: Operator = Operator("fft_fftfreq")
private let rfftFrequenciesOp: Operator = Operator("fft_rfftfreq")
private let fftShiftOp: Operator = Operator("fft_fftshift")
private let ifftShiftOp: Operator = Operator("fft_ifftshift")

/// Where the factor `1/n` of a transform and its inverse goes.
public enum FourierNorm: String, Sendable, CaseIterable {
    /// On the inverse.
    case backward
    /// `1/√n` on both, which makes them unitary.
    case ortho
    /// On the forward transform.
    case forward
}

extension FourierNorm: OperatorArgument {
    public func encode(into arguments: inout ArgumentEncoder) { rawValue.encode(into: &arguments) }
}

// Discrete Fourier transforms. `count` crops or zero-pads the axis first; results of real inputs in float32 are complex64, in
// float64 complex128.
extension Tensor {
    /// `X[k] = Σ x[t] exp(-2πi k t / n)` along an axis.
    public func fft(count: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor { fftOp(self, count, axis, norm) }

    public func ifft(count: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor { ifftOp(self, count, axis, norm) }

    /// Of real input, the `n/2 + 1` frequencies that are not mirrored.
    public func rfft(count: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor { rfftOp(self, count, axis, norm) }

    /// The real signal of `count` places whose half spectrum this is; without a count, `2 (m - 1)` for `m` frequencies.
    public func irfft(count: Int? = nil, axis: Int = -1, norm: FourierNorm = .backward) -> Tensor { irfftOp(self, count, axis, norm) }

    /// ``fft(count:axis:norm:)`` along the last two axes.
    public func fft2(counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
        fftnOp(self, counts, axes, norm)
    }

    public func ifft2(counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
        ifftnOp(self, counts, axes, norm)
    }

    public func rfft2(counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
        rfftnOp(self, counts, axes, norm)
    }

    public func irfft2(counts: [Int]? = nil, axes: [Int] = [-2, -1], norm: FourierNorm = .backward) -> Tensor {
        irfftnOp(self, counts, axes, norm)
    }

    /// ``fft(count:axis:norm:)`` along several axes, all of them unless given.
    public func fftn(counts: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor { fftnOp(self, counts, axes, norm) }

    public func ifftn(counts: [Int]? = nil, axes: [Int]? = nil, norm: FourierNorm = .backward) -> Tensor {
        ifftnOp(self, counts, axes, norm)
    }

    /// The zero frequency moved from the start of the axes to their middle.
    public func fftShifted(axes: [Int]? = nil) -> Tensor { fftShiftOp(self, axes) }

    /// Undoes ``fftShifted(axes:)``.
    public func ifftShifted(axes: [Int]? = nil) -> Tensor { ifftShiftOp(self, axes) }

    /// Frequencies of the places of ``fft(count:axis:norm:)`` in cycles per unit, for samples `spacing` apart.
    public static func fftFrequencies(
        _ count: Int, spacing: Double = 1, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        fftFrequenciesOp(count, spacing, dtype, Int?.none, device)
    }

    /// Frequencies of the places of ``rfft(count:axis:norm:)`` in cycles per unit, for samples `spacing` apart.
    public static func rfftFrequencies(
        _ count: Int, spacing: Double = 1, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        rfftFrequenciesOp(count, spacing, dtype, Int?.none, device)
    }
}
