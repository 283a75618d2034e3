import NN
import SequenceModels
import Torch
import Training

/// One method applied to a model, as a command or a recipe names it. Its fields are the method's settings.
///
/// To add one, conform, check the settings in `init(from:)` (see `ConfigurationFields`), and list the type in ``CompressionSteps/all``.
public protocol CompressionStep: Codable, Sendable {
    /// The name in recipes and on the command line, such as `quantize`.
    static var name: String { get }

    /// The settings in a few words, such as `4 bits, groups of 64, gptq`.
    var summary: String { get }

    /// Whether model and context fit the settings, before any work; by default they do.
    /// - Throws: `ConfigurationError` where they do not.
    func check(_ subject: CompressedModel, _ context: CompressionContext) throws

    /// What would become of each layer, without changing the model. Where the sizes follow only from the work itself, they may be estimates.
    /// - Throws: `ConfigurationError` where the settings do not fit the model.
    func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice]

    /// Changes the model.
    /// - Throws: `ConfigurationError` where the settings do not fit the model, `CancellationError`.
    func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice]
}

extension CompressionStep {
    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {}
}

/// The steps that recipes may name.
public enum CompressionSteps {
    /// In alphabetical order of their names.
    public static var all: [any CompressionStep.Type] {
        [
            KVStep.self,
            MaestroStep.self,
            PruneStep.self,
            QuantizeStep.self,
            WeLoreStep.self,
        ]
    }
}

/// What a step made, or would make, of one layer.
public struct LayerChoice: Codable, Sendable, Equatable {
    /// Dotted path of the layer.
    public var path: String
    /// In a few words, such as `rank 31 of 96`.
    public var choice: String
    /// Bytes of the layer's parameters and buffers.
    public var bytesBefore: Int
    public var bytesAfter: Int

    public init(path: String, choice: String, bytesBefore: Int, bytesAfter: Int) {
        self.path = path
        self.choice = choice
        self.bytesBefore = bytesBefore
        self.bytesAfter = bytesAfter
    }
}

/// What steps may use beside the model.
public struct CompressionContext {
    /// Text to calibrate or train on, which the quality is never measured on; nil where none was given.
    public let calibration: TextWindows?
    public let seed: UInt64
    /// Takes lines that say how far the work is.
    public let progress: (String) -> Void
    private let isCancelled: () -> Bool

    public init(
        calibration: TextWindows? = nil, seed: UInt64 = 0, progress: @escaping (String) -> Void = { _ in },
        isCancelled: @escaping () -> Bool = { false }
    ) {
        self.calibration = calibration
        self.seed = seed
        self.progress = progress
        self.isCancelled = isCancelled
    }

    /// The text to calibrate on.
    /// - Throws: `ConfigurationError` where there is none.
    public func requiredCalibration(for method: String) throws -> TextWindows {
        guard let calibration else { throw ConfigurationError("\(method) needs text to calibrate on; give --calibration or --text") }
        return calibration
    }

    /// - Throws: `CancellationError` after an interrupt.
    public func checkCancellation() throws { if isCancelled() { throw CancellationError() } }
}

extension Module {
    /// Bytes of parameters and buffers.
    public var byteCount: Int { stateTensors().reduce(0) { $0 + $1.1.byteCount } }
}
