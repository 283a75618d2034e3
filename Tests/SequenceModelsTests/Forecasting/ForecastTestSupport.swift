import Foundation
import Torch
import Training

@testable import SequenceModels

/// A made-up hourly series of waves, so that every variable can be predicted.
enum Waves {
    static func series(length: Int = 400, variables: Int = 3) -> TimeSeries {
        let calendar: SeriesCalendar? = try? SeriesCalendar(["2020-01-01 00:00:00", "2020-01-01 01:00:00"])
        var values: [Float] = []
        for step in 0..<length {
            for variable in 1...variables {
                let phase: Double = Double(step) * 2 * .pi / Double(12 * variable)
                values.append(Float(10 * variable) + Float(variable + 1) * Float(sin(phase)))
            }
        }
        return TimeSeries(
            names: (0..<variables).map { "v\($0)" }, dates: (0..<length).compactMap { calendar?.text(at: $0) }, values: values)
    }

    static func protocolled(length: Int = 400, variables: Int = 3) throws -> ForecastProtocol {
        try ForecastProtocol(series(length: length, variables: variables), split: .fractions)
    }

    /// Random windows `[B, L, N]` without dates.
    static func windows(
        _ rows: Int = 2, lookback: Int, variables: Int = 3, seed: UInt64 = 1, dtype: DType = .float32
    ) -> ForecastInput {
        let values: Tensor = .normal(
            [rows, lookback, variables], dtype: dtype, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
        return ForecastInput(values: values, starts: Array(repeating: 0, count: rows))
    }
}
