import NN
import Torch

/// Repeats the last value of each variable: what any forecast has to beat. It has no parameters.
public final class RepeatForecaster: Module, Forecaster {
    public let lookback: Int
    public let horizon: Int

    public init(lookback: Int, horizon: Int) {
        (self.lookback, self.horizon) = (lookback, horizon)
        super.init()
    }

    public func forecast(_ input: ForecastInput) -> Tensor {
        let last: Tensor = input.values.narrowed(axis: 1, start: input.values.dim(1) - 1, length: 1)
        return last.expanded(to: [last.dim(0), horizon, last.dim(2)])
    }
}

/// One linear map from look-back to horizon, shared by all variables, on each window's own scale.
public final class LinearForecaster: Module, Forecaster {
    public let lookback: Int
    public let horizon: Int
    @ModuleInfo public var projection: Linear

    public init(lookback: Int, horizon: Int, generator: RandomGenerator? = nil) {
        (self.lookback, self.horizon) = (lookback, horizon)
        super.init()
        projection = Linear(lookback, horizon, generator: generator)
    }

    public func forecast(_ input: ForecastInput) -> Tensor {
        let scale: WindowNormalization = WindowNormalization(input.values)
        return scale.restored(projection(scale.normalized(input.values).mT).mT)
    }
}

/// Two linear maps, of a window's trend and of what is left (Zeng et al., 2023, *Are Transformers Effective for Time Series Forecasting?*).
///
/// The trend is the moving average over 25 steps, the window's ends repeated beyond it.
public final class DLinear: Module, Forecaster {
    public let lookback: Int
    public let horizon: Int
    @ModuleInfo public var trend: Linear
    @ModuleInfo public var seasonal: Linear

    /// Steps of the moving average.
    private static let width: Int = 25

    public init(lookback: Int, horizon: Int, generator: RandomGenerator? = nil) {
        (self.lookback, self.horizon) = (lookback, horizon)
        super.init()
        trend = Linear(lookback, horizon, generator: generator)
        seasonal = Linear(lookback, horizon, generator: generator)
    }

    public func forecast(_ input: ForecastInput) -> Tensor {
        let x: Tensor = input.values.mT
        let average: Tensor = Self.movingAverage(x)
        return (trend(average) + seasonal(x - average)).mT
    }

    /// `[B, N, L]` to the same.
    static func movingAverage(_ x: Tensor) -> Tensor {
        let side: Int = width / 2
        let first: Tensor = x.narrowed(axis: 2, start: 0, length: 1).repeated(side, axis: 2)
        let last: Tensor = x.narrowed(axis: 2, start: x.dim(2) - 1, length: 1).repeated(side, axis: 2)
        return concatenated([first, x, last], axis: 2).windows(axis: 2, size: width, step: 1).mean(axis: 3)
    }
}
