import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

extension ForecasterKind: ExpressibleByArgument {}
extension ForecastSplit: ExpressibleByArgument {}

struct ForecastTrainCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a forecaster and measure it on the test part, beside DLinear and the last value.",
        discussion: """
            Errors are means over all windows of the test part, on the scale of the standardised variables. Several horizons train one model
            each, in OUT/horizon-96 and so on.

            Examples:
              linnet forecast train --data ETTh1 --model s-mamba --out runs/etth1
              linnet forecast train --data sales.csv --model dlinear --lookback 60 --horizon 7 --horizon 30 --out runs/sales
              linnet forecast train --data ETTh1 --model smetimes --lookback 336 --backbone runs/bytes --out runs/small --resume

            smetimes has its backbone, a language model, read a prompt for each segment once, which takes a while for long series. Such a model:
              linnet train lm --text book.txt --tokenizer byte --mixer softmax --out runs/bytes
            A sentence encoder in Hugging Face's format can read the prompts in its place; a linear layer from its embeddings is then trained, too:
              linnet forecast train --data ETTh1 --model smetimes --lookback 336 --backbone runs/bytes --prompt-encoder all-MiniLM-L6-v2 --out runs/small
            """)

    /// What the folder of one of several horizons begins with.
    static let partPrefix: String = "horizon-"

    @Option(help: "A CSV file, or ETTh1, ETTh2 or exchange_rate.")
    var data: String
    @Option(help: "Forecaster.")
    var model: ForecasterKind = .sMamba
    @Option(help: "Steps that it sees.")
    var lookback: Int = 96
    @Option(help: "Steps that it predicts; may be given several times.")
    var horizon: [Int] = []
    @Option(help: "Parts to train, validate and test on; ett for ETTh1 and ETTh2, else fractions (0.7, 0.1, 0.2).")
    var split: ForecastSplit?
    @Option(help: "Width of a variable's token (s-mamba, itransformer).")
    var dimensions: Int = 64
    @Option(help: "Layers (s-mamba, itransformer).")
    var layers: Int = 2
    @Option(help: "Heads of attention (itransformer).")
    var heads: Int = 8
    @Option(help: "Dropout (s-mamba, itransformer).")
    var dropout: Double = 0.1
    @Option(help: "States of a channel (s-mamba).")
    var state: Int = 2
    @Option(help: "Steps of a token (smetimes).")
    var segment: Int = 48
    @Option(help: "Experts (smetimes).")
    var experts: Int = 4
    @Option(help: "Folder of the language model that stays frozen (smetimes).")
    var backbone: String?
    @Option(
        name: .customLong("prompt-encoder"),
        help: "Folder of a sentence encoder of BERT's family that reads the prompts in the backbone's place (smetimes).")
    var promptEncoder: String?
    @OptionGroup var optimization: OptimizationOptions
    @OptionGroup var run: RunOptions

    func run() async throws {
        let input: SeriesArgument = try SeriesArgument(data)
        let forecastProtocol: ForecastProtocol = try ForecastProtocol(input.series, split: split ?? input.split, path: input.path)
        let readers: Readers? = try readers()
        let horizons: [Int] = horizon.isEmpty ? [96] : horizon
        var rows: [Row] = []
        for horizon in horizons {
            let place: RunOptions = horizons.count == 1 ? run : run.part("\(Self.partPrefix)\(horizon)")
            rows += try trainAndMeasure(horizon, forecastProtocol, readers, in: place)
        }
        print(Self.table(rows))
        print("model in \(run.folder)")
    }

    /// A line of the table.
    private struct Row {
        let horizon: Int
        let model: ForecasterKind
        let score: ForecastScore
    }

    private func trainAndMeasure(
        _ horizon: Int, _ data: ForecastProtocol, _ readers: Readers?, in place: RunOptions
    ) throws -> [Row] {
        try place.checkFolder()
        let shape: ForecasterConfiguration = ForecasterConfiguration(
            model, lookback: lookback, horizon: horizon, dimensions: dimensions, layers: layers, heads: heads, dropout: dropout,
            state: state, segment: segment, experts: experts, backbone: readers?.language.model.configuration,
            promptEncoder: readers?.prompts?.model.configuration)
        seedEverything(optimization.seed)
        let forecaster: any Forecaster = try shape.make(tokenizer: readers?.language.tokenizer, promptEncoder: readers?.prompts)
        if let language = readers?.language, let small = forecaster as? SMETimes {
            small.backbone.update(parameters: Dictionary(uniqueKeysWithValues: language.model.stateTensors()))
        }
        let bundle: ForecastBundle = ForecastBundle(
            description: ForecastBundle.Description(forecaster: shape, data: data.data), forecaster: forecaster,
            tokenizer: readers?.language.tokenizer, promptEncoder: readers?.prompts)
        let windows: Windows = try Windows(data, lookback: lookback, horizon: horizon)
        let training: ForecastTraining = try training(windows, in: place)
        if !place.hasCheckpoint { try bundle.describe(in: place.url) }
        let description: String = try bundle.description.sortedJSON()
        _ = try place.recorded(kind: "forecast", configuration: bundle.description, seed: optimization.seed) { outlet in
            try training.run(
                forecaster, train: windows.train, validation: windows.validation, description: description, outlet: outlet)
        }
        try bundle.save(to: place.url)
        let own: Row = Row(horizon: horizon, model: model, score: forecaster.score(windows.test))
        return try [own]
            + [ForecasterKind.dLinear, .repeatLast].filter { $0 != model }.map { kind in
                Row(horizon: horizon, model: kind, score: try baseline(kind, windows, training).score(windows.test))
            }
    }

    private struct Windows {
        let train: ForecastWindows
        let validation: ForecastWindows
        let test: ForecastWindows

        init(_ data: ForecastProtocol, lookback: Int, horizon: Int) throws {
            guard lookback > 0, horizon > 0 else { throw ValidationError("--lookback and --horizon have to be at least 1") }
            train = try data.windows(.train, lookback: lookback, horizon: horizon)
            validation = try data.windows(.validation, lookback: lookback, horizon: horizon)
            test = try data.windows(.test, lookback: lookback, horizon: horizon)
        }
    }

    private func training(_ windows: Windows, in place: RunOptions) throws -> ForecastTraining {
        guard optimization.batch > 0, optimization.batch <= windows.train.count else {
            throw ValidationError("--batch has to lie in 1 ... \(windows.train.count), the number of training windows")
        }
        return ForecastTraining(
            optimizer: try optimization.optimizer(defaultRate: model == .smetimes ? 1e-3 : 5e-4),
            trainer: try optimization.trainer(place), rows: optimization.batch)
    }

    /// Trained with the same settings, without a record.
    private func baseline(_ kind: ForecasterKind, _ windows: Windows, _ training: ForecastTraining) throws -> any Forecaster {
        seedEverything(optimization.seed)
        let forecaster: any Forecaster = try ForecasterConfiguration(
            kind, lookback: windows.train.lookback, horizon: windows.train.horizon
        ).make()
        try training.run(forecaster, train: windows.train, outlet: TrainingOutlet(progress: .quiet))
        return forecaster
    }

    /// What SMETimes reads with.
    private struct Readers {
        let language: LanguageModelBundle
        /// Of the prompts, where that is not the language model.
        let prompts: BertSentenceEncoder?
    }

    private func readers() throws -> Readers? {
        guard model == .smetimes else {
            if promptEncoder != nil { throw ValidationError("--prompt-encoder is for --model smetimes") }
            return nil
        }
        guard let backbone else {
            throw ValidationError("--model smetimes needs --backbone, the folder of a language model that linnet train lm has made")
        }
        let bundle: LanguageModelBundle = try LanguageModelBundle.load(from: URL(fileURLWithPath: backbone, isDirectory: true))
        if let promptEncoder {
            let folder: URL = URL(fileURLWithPath: promptEncoder, isDirectory: true)
            return Readers(language: bundle, prompts: try BertSentenceEncoder(directory: folder))
        }
        // A tokenizer of single characters may lack those of a prompt.
        _ = try bundle.tokenizer.encode(
            validating: StatisticalPrompt { "2016-07-01 23:45:\($0 + 67889)" }.text(segment: [-1, 2], start: 0))
        return Readers(language: bundle, prompts: nil)
    }

    private static func table(_ rows: [Row]) -> String {
        let header: String = "horizon  model         MSE      MAE"
        return
            ([header]
            + rows.map {
                String(
                    format: "%7d  %@  %-7.4f  %.4f", $0.horizon,
                    $0.model.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0), $0.score.meanSquaredError,
                    $0.score.meanAbsoluteError)
            }).joined(separator: "\n")
    }
}
