import Foundation
import NN
import Torch
import Training

/// A trained forecaster with what it needs to read a series: `config.json`, `model.safetensors`, and where it has a language model inside
/// `tokenizer.json` and, in a folder of its own, the sentence encoder that reads its prompts, if any.
public struct ForecastBundle {
    /// The forecaster and the data it was trained on, in JSON.
    public struct Description: Codable, Sendable, Equatable {
        public var forecaster: ForecasterConfiguration
        public var scaler: StandardScaler
        /// The variables, in the model's order.
        public var variables: [String]
        /// Calendar features that the model was trained with.
        public var calendarFeatures: Int

        public init(forecaster: ForecasterConfiguration, data: ForecastSeries) {
            self.forecaster = forecaster
            scaler = data.scaler
            variables = data.series.names
            calendarFeatures = data.featureCount
        }
    }

    public let description: Description
    public let forecaster: any Forecaster
    public let tokenizer: (any Tokenizer)?
    public let promptEncoder: BertSentenceEncoder?

    public init(
        description: Description, forecaster: any Forecaster, tokenizer: (any Tokenizer)? = nil, promptEncoder: BertSentenceEncoder? = nil
    ) {
        self.description = description
        self.forecaster = forecaster
        self.tokenizer = tokenizer
        self.promptEncoder = promptEncoder
    }

    private static let descriptionFile: String = "config.json"
    private static let weightsFile: String = "model.safetensors"
    private static let tokenizerFile: String = "tokenizer.json"
    private static let promptEncoderFolder: String = "prompt-encoder"

    /// Writes what a run has from its start on: all but the weights that it trains.
    public func describe(in folder: URL) throws {
        try AtomicFile.createFolder(folder.path)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.write(encoder.encode(description), to: folder.appendingPathComponent(Self.descriptionFile).path)
        try tokenizer?.save(to: folder.appendingPathComponent(Self.tokenizerFile))
        try promptEncoder?.save(to: folder.appendingPathComponent(Self.promptEncoderFolder))
    }

    /// Writes all files, each replaced as a whole.
    public func save(to folder: URL) throws {
        try describe(in: folder)
        try saveTensors(Dictionary(uniqueKeysWithValues: forecaster.stateTensors()), to: folder.appendingPathComponent(Self.weightsFile))
    }

    /// Reads a folder.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func load(from folder: URL) throws -> ForecastBundle {
        let file: URL = folder.appendingPathComponent(descriptionFile)
        let bytes: [UInt8] = try readFile(file.path)
        let description: Description
        do { description = try JSONDecoder().decode(Description.self, from: Data(bytes)) } catch let error as DecodingError {
            throw DataFormatError(path: file.path, "is not a Linnet forecaster's configuration: \(error.reason)")
        }
        let tokenizer: (any Tokenizer)? =
            description.forecaster.kind == .smetimes ? try loadTokenizer(from: folder.appendingPathComponent(tokenizerFile)) : nil
        let promptEncoder: BertSentenceEncoder? =
            try description.forecaster.promptEncoder.map { _ in
                try BertSentenceEncoder(directory: folder.appendingPathComponent(promptEncoderFolder))
            }
        let forecaster: any Forecaster = try description.forecaster.make(tokenizer: tokenizer, promptEncoder: promptEncoder)
        try forecaster.load(try loadTensors(folder.appendingPathComponent(weightsFile)))
        forecaster.train(false)
        return ForecastBundle(description: description, forecaster: forecaster, tokenizer: tokenizer, promptEncoder: promptEncoder)
    }

    /// The steps after the end of a series, in its units: `horizon` rows of one value a variable.
    /// - Parameters:
    ///   - series: has the model's variables, in any order.
    ///   - path: where the series comes from, for errors.
    /// - Throws: `DataFormatError` for a series that lacks a variable, is too short, or has other dates than the model was trained with.
    public func continuation(of series: TimeSeries, path: String) throws -> (series: ForecastSeries, values: [[Double]]) {
        let chosen: TimeSeries = try series.selecting(description.variables, path: path)
        let data: ForecastSeries = try ForecastSeries(chosen, scaler: description.scaler, path: path)
        guard data.featureCount == description.calendarFeatures else {
            throw DataFormatError(
                path: path,
                "its dates give \(data.featureCount) calendar features; the model was trained with \(description.calendarFeatures), "
                    + "so the dates have to be of the same kind")
        }
        let input: ForecastInput = try data.lastWindow(lookback: forecaster.lookback, path: path)
        forecaster.prepare(for: data)
        let predicted: Tensor = noGrad { data.restored(forecaster.forecast(input)) }
        return (data, predicted.selected(axis: 0, index: 0).unbound(axis: 0).map { $0.array() })
    }
}
