import NN
import Torch

/// What a ``Forecaster`` sees of a batch of windows.
public struct ForecastInput {
    /// The last L steps of all variables, standardised, `[B, L, N]`.
    public var values: Tensor
    /// What the dates of those steps say, `[B, L, F]`; nil where the series has no dates.
    public var calendar: Tensor?
    /// The step of the series that each window begins with.
    public var starts: [Int]

    public init(values: Tensor, calendar: Tensor? = nil, starts: [Int]) {
        precondition(values.ndim == 3 && values.dim(0) == starts.count, "windows of shape \(values.shape) for \(starts.count) starts")
        self.values = values
        self.calendar = calendar
        self.starts = starts
    }
}

/// Predicts the next steps of all variables of a series from its last ones.
///
/// All forecasters take the same windows and give the same thing, so that one stands in for another by a word: see ``ForecasterKind``.
public protocol Forecaster: Module {
    /// Steps that it sees, L.
    var lookback: Int { get }
    /// Steps that it predicts, S.
    var horizon: Int { get }

    /// The steps after the windows, standardised, `[B, S, N]`.
    func forecast(_ input: ForecastInput) -> Tensor

    /// What training makes small, a scalar; the mean squared error unless the method has a loss of its own.
    /// - Parameters:
    ///   - input: the windows.
    ///   - target: the steps after them, `[B, S, N]`.
    func loss(_ input: ForecastInput, target: Tensor) -> Tensor

    /// Tells the forecaster which series its windows are cut from; for those that read more of it than the windows' numbers.
    func prepare(for series: ForecastSeries)
}

extension Forecaster {
    public func loss(_ input: ForecastInput, target: Tensor) -> Tensor { meanSquaredError(forecast(input), target) }

    public func prepare(for series: ForecastSeries) {}
}

/// A window's own scale: each variable of each window shifted to mean 0 and divided by its deviation, and the way back.
///
/// The statistics carry no gradient (Kim et al., 2022, *Reversible Instance Normalization*, without its affine map).
struct WindowNormalization {
    /// `[B, 1, N]`
    let mean: Tensor
    /// `√(variance + 1e-5)` with the biased variance, `[B, 1, N]`.
    let deviation: Tensor

    /// - Parameter window: `[B, L, N]`.
    init(_ window: Tensor) {
        (mean, deviation) = noGrad {
            (window.mean(axis: 1, keepDims: true), (window.variance(axes: [1], keepDims: true) + 1e-5).sqrt())
        }
    }

    func normalized(_ window: Tensor) -> Tensor { (window - mean) / deviation }

    func restored(_ prediction: Tensor) -> Tensor { prediction * deviation + mean }
}
