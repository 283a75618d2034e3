import Torch

/// How ``autocorrelation(_:method:)`` is computed; both give the same numbers.
public enum AutocorrelationMethod: Sendable, CaseIterable {
    /// One sum for each lag, O(F²).
    case loop
    /// As the transform of the squared modulus of the padded sequence's transform, O(F log F).
    case fft
}

/// The autocorrelation `c_k = Σ_l a_{l+k} · conj(a_l)` of complex sequences at the lags k = 0 … F (arXiv 2410.22269, algorithm 1).
/// - Parameters:
///   - a: complex, `[..., F + 1]`.
///   - method: of the equivalent ones.
/// - Returns: complex, `[..., F + 1]`; the imaginary part of `c_0` is 0.
public func autocorrelation(_ a: Tensor, method: AutocorrelationMethod = .fft) -> Tensor {
    precondition(a.ndim >= 1 && a.dtype.isComplex, "autocorrelation needs complex [..., F + 1], not \(a.dtype) \(a.shape)")
    let count: Int = a.dim(-1)
    switch method {
    case .loop:
        let lags: [Tensor] = (0..<count).map { lag in
            let later: Tensor = a.narrowed(axis: -1, start: lag, length: count - lag)
            let earlier: Tensor = a.narrowed(axis: -1, start: 0, length: count - lag)
            return (later * earlier.conjugate()).sum(axis: -1)
        }
        return stacked(lags, axis: -1)
    case .fft:
        // Padded so that the circular correlation has no lag that wraps round, to a length that transforms fast.
        var length: Int = 1
        while length < 2 * count - 1 { length *= 2 }
        let transform: Tensor = a.fft(count: length)
        return (transform * transform.conjugate()).ifft().narrowed(axis: -1, start: 0, length: count)
    }
}
