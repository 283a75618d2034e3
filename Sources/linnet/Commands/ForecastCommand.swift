import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

struct ForecastCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "forecast", abstract: "Train a forecaster of a multivariate series, and continue a series with it.",
        discussion: """
            A series is a CSV file with one column a variable, with or without a header; a first column that is not numeric holds the dates.

            Examples:
              linnet forecast train --data sales.csv --model s-mamba --lookback 96 --horizon 24 --out runs/sales
              linnet forecast predict --model runs/sales --data sales.csv --out predictions.csv
            """,
        subcommands: [ForecastTrainCommand.self, ForecastPredictCommand.self])
}

struct ForecastPredictCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "predict",
        abstract: "Continue a series after its last row.",
        discussion: """
            The predictions are in the series' own units. Where the dates are regular (one distance, or a day of each month), they go on too;
            otherwise the rows are numbered.

            Example:
              linnet forecast predict --model runs/etth1 --data ETTh1.csv --out predictions.csv
            """)

    @Option(help: "Folder of a trained forecaster.")
    var model: String
    @Option(help: "A CSV file with the model's variables, or ETTh1, ETTh2 or exchange_rate.")
    var data: String
    @Option(help: "Where the predictions go, as CSV.")
    var out: String

    func run() async throws {
        let folder: URL = URL(fileURLWithPath: model, isDirectory: true)
        try checkSingle(folder)
        let bundle: ForecastBundle = try ForecastBundle.load(from: folder)
        let input: SeriesArgument = try SeriesArgument(data)
        let (series, values): (ForecastSeries, [[Double]]) = try bundle.continuation(of: input.series, path: input.path)
        let isDated: Bool = series.calendar?.interval != nil
        var lines: [String] = [([isDated ? "date" : "step"] + bundle.description.variables).map(quoted).joined(separator: ",")]
        for (ahead, row) in values.enumerated() {
            let name: String = isDated ? series.label(of: series.series.length + ahead) : String(ahead + 1)
            lines.append(([quoted(name)] + row.map { "\(Float($0))" }).joined(separator: ","))
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: out)
        print("\(values.count) steps of \(bundle.description.variables.count) variables in \(out)")
    }

    /// A folder of several horizons holds several models.
    private func checkSingle(_ folder: URL) throws {
        let names: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        let parts: [String] = names.filter { $0.hasPrefix(ForecastTrainCommand.partPrefix) }
        if !names.contains("config.json"), !parts.isEmpty {
            throw ValidationError(
                "\(model) holds a model for each horizon; give one of them: \(parts.map { "\(model)/\($0)" }.joined(separator: ", "))")
        }
    }

    private func quoted(_ field: String) -> String {
        let needsQuotes: Bool = field.contains { $0 == "," || $0 == "\"" || $0.isNewline }
        return needsQuotes ? "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : field
    }
}

/// A series that `--data` names: a file, or a known one.
struct SeriesArgument {
    let series: TimeSeries
    let path: String
    /// How such a series is divided where nothing else is asked for.
    let split: ForecastSplit

    init(_ name: String) throws {
        switch name {
        case _ where FileManager.default.fileExists(atPath: name): (path, split) = (name, .fractions)
        case "ETTh1", "ETTh2": (path, split) = (try DataDirectory.standard.locate("ett", file: "\(name).csv"), .ett)
        case "exchange_rate":
            (path, split) = (try DataDirectory.standard.locate("exchange_rate", file: "exchange_rate.txt.gz"), .fractions)
        default: throw ValidationError("--data \(name): there is no such file; the known series are ETTh1, ETTh2 and exchange_rate")
        }
        series = try TimeSeries.read(path: path)
    }
}
