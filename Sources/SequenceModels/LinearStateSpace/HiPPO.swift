import Torch

/// State matrices whose state, driven by `ẋ = Ax + Bu`, holds the coefficients of the input's past in a polynomial basis.
///
/// Gu, Dao, Ermon, Rudra, Ré, "HiPPO: Recurrent Memory with Optimal Polynomial Projections" (2020), and arXiv 2110.13985,
/// appendix B. Rows `n` and columns `k` count from 0.
public enum HiPPO: String, Codable, Sendable, CaseIterable {
    /// Scaled Legendre: the whole past, used time-invariantly (without the factor 1/t), so that it fades exponentially.
    case legs
    /// Translated Legendre: a sliding window of the past, of length ``defaultWindow`` unless another is asked for.
    case legt
    /// Translated Laguerre: the past weighted by `exp(-age)`.
    case lagt

    /// The LegT window θ of the published code, in the time unit of the continuous system.
    public static let defaultWindow: Double = 2

    /// The pair `(A: [N, N], B: [N])`.
    /// - Parameters:
    ///   - order: N, the number of basis functions.
    ///   - dtype: of the result.
    ///   - device: of the result.
    ///   - window: θ of LegT; the other measures have none and ignore it.
    public func matrices(
        order: Int, dtype: DType = .float64, device: Device = .default, window: Double = HiPPO.defaultWindow
    ) -> (A: Tensor, B: Tensor) {
        precondition(order > 0 && window > 0, "HiPPO needs a positive order and window, not \(order) and \(window)")
        let entries: [Double] = (0..<order * order).map { entry(row: $0 / order, column: $0 % order, window: window) }
        let input: [Double] = (0..<order).map { self == .lagt ? 1 : norm($0) / scale(window: window) }
        return (
            Tensor(entries, [order, order], dtype: dtype, device: device), Tensor(input, dtype: dtype, device: device)
        )
    }

    private func entry(row: Int, column: Int, window: Double) -> Double {
        switch self {
        case .legs:
            row > column ? -norm(row) * norm(column) : row == column ? -Double(row + 1) : 0
        case .legt:
            -norm(row) * norm(column) / window * (column <= row || (row + column).isMultiple(of: 2) ? 1 : -1)
        case .lagt:
            row > column ? -1 : row == column ? -0.5 : 0
        }
    }

    /// What divides p and B of the measure.
    func scale(window: Double) -> Double { self == .legt ? window : 1 }

    /// `√(2n + 1)`, the norm of the n-th Legendre polynomial on a unit interval.
    private func norm(_ index: Int) -> Double { Double(2 * index + 1).squareRoot() }
}
