import SequenceModels
import Torch
import Training

/// One forecaster of a comparison, trained as ``ClassifierTrial`` is.
struct ForecastTrial {
    let name: String
    let forecaster: any Forecaster

    /// Settings for passes over windows, at least one step.
    static func epochs(_ count: Int, over windows: ForecastWindows, rows: Int, learningRate: Double) -> ClassifierTrial.Settings {
        ClassifierTrial.Settings(steps: max(1, count * (windows.count / rows)), rows: rows, learningRate: learningRate)
    }

    /// Trains in shuffled passes, without checkpoints.
    /// - Parameters:
    ///   - windows: to train on.
    ///   - settings: those of all methods of the comparison.
    ///   - seed: of the order.
    ///   - context: of the experiment.
    ///   - loss: in place of the forecaster's own.
    /// - Returns: the training loss.
    func train(
        _ windows: ForecastWindows, _ settings: ClassifierTrial.Settings, seed: UInt64, context: ExperimentContext,
        loss: ((ForecastInput, Tensor) -> Tensor)? = nil
    ) throws -> Measurements.Curve {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(settings.steps) steps")
        let training: ForecastTraining = ForecastTraining(
            optimizer: try settings.optimizer(), trainer: try settings.trainer(seed: seed), rows: min(settings.rows, windows.count))
        let result: TrainingResult = try training.run(forecaster, train: windows, loss: loss)
        return Measurements.Curve(method: name, metric: "training loss (squared error)", losses: result.losses, seed: seed)
    }
}

extension ForecastProtocol {
    /// One of the two hourly stations of ETT, by the protocol of its authors.
    static func station(_ name: String) throws -> ForecastProtocol {
        let path: String = try DataDirectory.standard.locate("ett", file: "\(name).csv")
        return try ForecastProtocol(try TimeSeries.read(path: path), split: .ett, path: path)
    }
}

extension ForecastWindows {
    /// At most about `count` of these windows, spread evenly.
    func limited(to count: Int?) -> ForecastWindows { count.map { thinned(every: max(1, self.count / $0)) } ?? self }
}
