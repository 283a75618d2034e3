import ArgumentParser
import Foundation
import Optim
import Torch
import Training

/// The optimisation flags that every training command shares.
struct OptimizationOptions: ParsableArguments {
    @Option(help: "Optimizer steps.")
    var steps: Int = 1000
    @Option(help: "Sequences in a batch.")
    var batch: Int = 16
    @Option(help: "Batches whose gradients are averaged into one step.")
    var accumulation: Int = 1
    @Option(name: .customLong("learning-rate"), help: "Peak learning rate (default: 3e-3, of forecasters 5e-4, of smetimes 1e-3).")
    var learningRate: Double?
    @Option(name: .customLong("optimizer"), help: OptimizerArgument.help)
    var rule: OptimizerArgument = .adamw
    @Option(name: .customLong("weight-decay"), help: "Weight decay (default: of adamw 0.01, else the optimizer's own).")
    var weightDecay: Double?
    @Option(help: "Schedule after the warm-up: cosine, linear or constant.")
    var schedule: ScheduleName = .cosine
    @Option(name: .customLong("warm-up"), help: "Share of the steps over which the learning rate rises.")
    var warmUp: Double = 0.05
    @Option(name: .customLong("clip-norm"), help: "Largest norm of the gradients.")
    var clipNorm: Double = 1
    @Option(name: .customLong("average-decay"), help: "Decay of a moving average of the weights, used for validation and the final model.")
    var averageDecay: Double?
    @Flag(help: "Compute the forward pass in bfloat16.")
    var bfloat16: Bool = false
    @Option(help: "Seed of weights, data order and sampling.")
    var seed: UInt64 = 0
    @Option(help: "Threads of one operator; the default is one a core.")
    var threads: Int?

    enum ScheduleName: String, ExpressibleByArgument, CaseIterable { case cosine, linear, constant }

    /// - Parameter defaultRate: the peak learning rate where none is given.
    func optimizer(defaultRate: Double = 3e-3) throws -> OptimizerConfiguration {
        try rule.configuration(
            learningRate: learningRate ?? defaultRate, weightDecay: weightDecay, adamW: ["beta1": 0.9, "beta2": 0.95, "weightDecay": 0.01])
    }

    func trainer(_ run: RunOptions) throws -> TrainerConfiguration {
        if let threads { Threads.count = max(1, threads) }
        let warmUpSteps: Int = Int((Double(steps) * warmUp).rounded())
        let curve: Schedule =
            switch schedule {
            case .cosine: .warmUpCosine(warmUp: warmUpSteps, finalFraction: 0.1)
            case .linear: .warmUpLinear(warmUp: warmUpSteps, finalFraction: 0)
            case .constant: .constant
            }
        return try TrainerConfiguration(
            steps: steps, accumulation: accumulation, clipNorm: clipNorm, schedule: curve, autocast: bfloat16 ? .bfloat16 : nil,
            averageDecay: averageDecay, validateEvery: run.validateEvery, patience: run.patience, checkpointEvery: run.checkpointEvery,
            checkpointMinutes: run.checkpointMinutes, keepCheckpoints: run.keep, seed: seed)
    }
}

/// Where a training command writes, how it shows progress and when it saves.
struct RunOptions: ParsableArguments {
    @Option(name: .customLong("out"), help: "Folder for the model, its checkpoints and TensorBoard events.")
    var folder: String
    @Option(help: "Name of the run in its record; the folder's by default.")
    var name: String?
    @Flag(help: "Continue from the newest checkpoint in the folder.")
    var resume: Bool = false
    @Option(name: .customLong("validate-every"), help: "Steps between validations.")
    var validateEvery: Int?
    @Option(help: "Validations without improvement after which training stops.")
    var patience: Int?
    @Option(name: .customLong("checkpoint-every"), help: "Steps between checkpoints.")
    var checkpointEvery: Int?
    @Option(name: .customLong("checkpoint-minutes"), help: "Minutes between checkpoints.")
    var checkpointMinutes: Double = 5
    @Option(help: "Newest checkpoints to keep, beside the best.")
    var keep: Int = 2
    @Option(help: "Progress: auto, bar, json or quiet.")
    var progress: ProgressChoice = .auto

    var url: URL { URL(fileURLWithPath: folder, isDirectory: true) }

    /// The same options for one of several models, in a folder below.
    func part(_ name: String) -> RunOptions {
        var part: RunOptions = self
        part.folder = "\(folder)/\(name)"
        part.name = "\(self.name ?? url.lastPathComponent)/\(name)"
        return part
    }

    /// Whether the folder has a checkpoint to continue.
    var hasCheckpoint: Bool { !CheckpointStore(TrainingOutlet.checkpoints(in: url)).steps.isEmpty }

    /// Refuses a folder that holds another run, unless it is to be continued.
    func checkFolder() throws {
        let started: Bool = FileManager.default.fileExists(atPath: url.appendingPathComponent("config.json").path)
        if started, !resume {
            throw ValidationError("\(folder) already holds a run; add --resume to continue it, or give another --out")
        }
    }

    /// Runs `body` with the run recorded in SQLite and as TensorBoard events, whatever its end.
    func recorded<Result>(
        kind: String, configuration: some Encodable, seed: UInt64, _ body: (TrainingOutlet) throws -> Result
    ) throws -> Result {
        Interrupt.install()
        let store: RunStore = try RunStore()
        let description: RunDescription = try RunDescription(
            name: name ?? url.lastPathComponent, kind: kind, encoding: configuration, commit: RunEnvironment.commit, seed: seed)
        let recorder: RunRecorder = try store.start(description)
        let events: TensorBoardSink = try TensorBoardSink(folder: url.appendingPathComponent("events").path)
        do {
            let sink: MetricFanOut = MetricFanOut([recorder, events])
            let result: Result = try body(TrainingOutlet(folder: url, resume: resume, sink: sink, progress: progress.style))
            try recorder.close(.finished)
            try events.close()
            return result
        } catch {
            try? events.close()
            try? recorder.close(error.endsAsInterrupted ? .interrupted : .failed)
            throw error
        }
    }
}

extension Error {
    fileprivate var endsAsInterrupted: Bool {
        if let failure = self as? TrainingFailure, case .interrupted = failure { return true }
        return self is CancellationError
    }
}

/// How progress is shown.
enum ProgressChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, bar, json, quiet

    var style: ProgressStyle {
        switch self {
        case .auto: .automatic(elsewhere: .jsonLines)
        case .bar: .bar
        case .json: .jsonLines
        case .quiet: .quiet
        }
    }
}
