import Foundation
import NN
import Torch
import Training

/// Windows of a part of a series, each with the steps after it.
public struct ForecastWindows: Sendable {
    public let data: ForecastSeries
    private let windows: SeriesWindows
    /// Distance between the windows that are used.
    private let stride: Int

    init(_ data: ForecastSeries, _ windows: SeriesWindows, stride: Int = 1) {
        self.data = data
        self.windows = windows
        self.stride = stride
    }

    public var count: Int { (windows.count + stride - 1) / stride }
    public var lookback: Int { windows.lookback }
    public var horizon: Int { windows.horizon }

    /// Every `step`-th of these windows, the first among them.
    public func thinned(every step: Int) -> ForecastWindows {
        precondition(step > 0, "every \(step)-th window")
        return ForecastWindows(data, windows, stride: stride * step)
    }

    /// The step of the series that a window begins with.
    public func start(_ index: Int) -> Int { windows.firstStep(index * stride) }

    /// The windows of the given indices.
    public func batch(_ indices: some Collection<Int>) -> ForecastBatch {
        ForecastBatch(
            inputs: indices.flatMap { windows.input($0 * stride) }, targets: indices.flatMap { windows.target($0 * stride) },
            calendar: indices.flatMap { data.features(from: start($0), count: lookback) }, starts: indices.map(start),
            variables: data.series.width)
    }

    /// All windows in order, `rows` at a time; the last batch holds what is left.
    public func batches(rows: Int) -> [ForecastBatch] {
        Swift.stride(from: 0, to: count, by: rows).map { batch($0..<min($0 + rows, count)) }
    }
}

/// Windows of a step.
public struct ForecastBatch: Sendable {
    /// `[B, L, N]` in row-major order.
    public let inputs: [Float]
    /// `[B, S, N]` in row-major order.
    public let targets: [Float]
    /// `[B, L, F]` in row-major order; empty without dates.
    public let calendar: [Float]
    public let starts: [Int]
    /// N.
    public let variables: Int

    public func tensors(device: Device = .default) -> (input: ForecastInput, target: Tensor) {
        let (rows, lookback): (Int, Int) = (starts.count, inputs.count / (starts.count * variables))
        let features: Tensor? =
            calendar.isEmpty ? nil : Tensor(calendar, [rows, lookback, calendar.count / (rows * lookback)], device: device)
        let input: ForecastInput = ForecastInput(
            values: Tensor(inputs, [rows, lookback, variables], device: device), calendar: features, starts: starts)
        return (input, Tensor(targets, [rows, targets.count / (rows * variables), variables], device: device))
    }
}

/// Windows in batches, every epoch in a new order that seed and epoch fix.
public struct ShuffledWindows: BatchSource {
    public let windows: ForecastWindows
    public let rows: Int
    private let indices: ShuffledIndices

    /// Traps when a batch is larger than the number of windows.
    public init(_ windows: ForecastWindows, rows: Int, seed: UInt64) {
        precondition(rows > 0 && rows <= windows.count, "batches of \(rows) from \(windows.count) windows")
        self.windows = windows
        self.rows = rows
        indices = ShuffledIndices(count: windows.count, seed: seed)
    }

    public var itemsPerBatch: Int { rows }
    public var itemName: String { "windows" }

    public func batch(_ step: Int) throws -> ForecastBatch { windows.batch(try indices.batch(step, of: rows)) }
}

/// Errors of forecasts on the standardised scale, each the mean over all windows and steps.
public struct ForecastScore: Sendable {
    /// Mean squared error of each variable.
    public let squaredErrors: [Double]
    /// Mean absolute error of each variable.
    public let absoluteErrors: [Double]
    /// Mean squared error of each predicted step, over all variables.
    public let squaredErrorsByStep: [Double]
    /// Windows that were predicted.
    public let windows: Int

    /// Mean squared error over the first steps alone: that of a shorter horizon.
    public func meanSquaredError(first steps: Int) -> Double { squaredErrorsByStep.prefix(steps).reduce(0, +) / Double(steps) }

    public var meanSquaredError: Double { squaredErrors.reduce(0, +) / Double(squaredErrors.count) }
    public var meanAbsoluteError: Double { absoluteErrors.reduce(0, +) / Double(absoluteErrors.count) }
}

extension Forecaster {
    /// Errors over windows, in evaluation mode and without a gradient.
    /// - Parameters:
    ///   - windows: all of them are predicted.
    ///   - rows: how many at a time.
    ///   - offset: added to the steps that are wanted, `[B, 1, N]` or `[B, S, N]`.
    public func score(_ windows: ForecastWindows, rows: Int = 256, offset: ((ForecastInput) -> Tensor)? = nil) -> ForecastScore {
        let wasTraining: Bool = isTraining
        train(false)
        defer { train(wasTraining) }
        var (squares, steps, distances): ([Double], [Double], [Double]) = ([], [], [])
        noGrad {
            for batch in windows.batches(rows: rows) {
                let (input, target) = batch.tensors()
                let wanted: Tensor = offset.map { target + $0(input) } ?? target
                let difference: Tensor = (forecast(input) - wanted).asType(.float64)
                squares.accumulate(difference.square().sum(axes: [0, 1]).array())
                steps.accumulate(difference.square().sum(axes: [0, 2]).array())
                distances.accumulate(difference.abs().sum(axes: [0, 1]).array())
            }
        }
        let count: Double = Double(windows.count * windows.horizon)
        let perStep: Double = Double(windows.count * squares.count)
        return ForecastScore(
            squaredErrors: squares.map { $0 / count }, absoluteErrors: distances.map { $0 / count },
            squaredErrorsByStep: steps.map { $0 / perStep }, windows: windows.count)
    }
}

extension [Double] {
    fileprivate mutating func accumulate(_ other: [Double]) { self = isEmpty ? other : zip(self, other).map { $0 + $1 } }
}
