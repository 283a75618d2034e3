import ArgumentParser
import Foundation
import Optim
import SequenceModels
import Torch
import Training

extension DiTAttention: ExpressibleByArgument {}

struct DiffuseTrainCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a diffusion transformer on images, with softmax (DiT) or linear attention (LiT).",
        discussion: """
            With --teacher, the shape is the teacher's unless flags say otherwise; --inherit starts from its weights except the attention's, and
            --distill follows its noise and variance. The model that is kept is the moving average of the weights.

            Examples:
              linnet diffuse train --data mnist --size 16 --steps 2000 --out runs/dit
              linnet diffuse train --data cifar10 --size 32 --dimensions 384 --depth 12 --heads 6 --out runs/photos
              linnet diffuse train --data mnist --attention linear --teacher runs/dit --inherit --distill --steps 400 --out runs/lit
            """)

    @Option(help: "A known data set: mnist or cifar10.")
    var data: ImageData
    @Option(help: "Most training images; all by default.")
    var limit: Int?
    @OptionGroup var shape: DiffusionShapeOptions
    @OptionGroup var distillation: DistillationOptions
    @OptionGroup var optimization: DiffusionOptimizationOptions
    @OptionGroup var run: RunOptions

    func run() async throws {
        try run.checkFolder()
        let teacher: DiT? = try distillation.readTeacher()
        let model: DiTConfiguration = try shape.configuration(channels: data.channels, teacher: teacher?.configuration)
        let training: DiffusionTraining = DiffusionTraining(
            model: model, optimizer: try optimization.optimizer(), trainer: try optimization.trainer(run), rows: optimization.batch,
            inheritance: try distillation.exclusion(), distillation: try distillation.loss())
        if let limit, limit < 1 { throw ValidationError("--limit has to be at least 1") }
        let (train, test) = try data.images(side: model.imageSize, limit: limit, held: 512)
        guard optimization.batch > 0, optimization.batch <= train.count else {
            throw ValidationError("--batch has to lie in 1 ... \(train.count), the number of training images")
        }
        // Before the folder is written to, so that models that do not fit leave nothing there.
        _ = try training.makeStudent(teacher)
        if !run.hasCheckpoint { try DiT.describe(model, in: run.url) }
        let held: NoiseBenchmark = NoiseBenchmark(test, diffusion: GaussianDiffusion(steps: model.diffusionSteps))
        let (student, result) = try run.recorded(kind: "diffuse", configuration: training, seed: optimization.seed) { outlet in
            try training.run(train: train, held: held, teacher: teacher, outlet: outlet)
        }
        try student.write(to: run.url)
        print(
            String(
                format: "%d steps in %.0f s, %d parameters: noise error %.4f on %d held-out images; model in %@", result.steps,
                result.seconds, student.parameterCount, held.noiseError(of: student), test.count, run.folder))
    }
}

/// The flags that choose a ``DiT``'s shape; what is not given is the teacher's, or else a small model's.
struct DiffusionShapeOptions: ParsableArguments {
    @Option(help: "Rows and columns that images are shrunk to; 16 by default.")
    var size: Int?
    @Option(help: "Rows and columns of a patch; 2 by default.")
    var patch: Int?
    @Option(help: "Width of the model; 96 by default.")
    var dimensions: Int?
    @Option(help: "Blocks; 4 by default.")
    var depth: Int?
    @Option(help: "Heads; by default 6 for softmax and 2 for linear attention.")
    var heads: Int?
    @Option(help: "Attention of the blocks: softmax or linear.")
    var attention: DiTAttention = .softmax
    @Option(help: "Side of the depth-wise convolution of linear attention; 0 leaves it out.")
    var kernel: Int = 5
    @Option(name: .customLong("label-dropout"), help: "Share of labels that are hidden in training, for guidance.")
    var labelDropout: Double = 0.1

    func configuration(channels: Int, teacher: DiTConfiguration?) throws -> DiTConfiguration {
        try DiTConfiguration(
            imageSize: size ?? teacher?.imageSize ?? 16, patchSize: patch ?? teacher?.patchSize ?? 2, channels: channels, classes: 10,
            dimensions: dimensions ?? teacher?.dimensions ?? 96, depth: depth ?? teacher?.depth ?? 4,
            heads: heads ?? (attention == .softmax ? 6 : 2), attention: attention, kernel: kernel == 0 ? nil : kernel,
            feedForwardRatio: teacher?.feedForwardRatio ?? 4, labelDropout: labelDropout, diffusionSteps: teacher?.diffusionSteps ?? 1000)
    }
}

/// The flags of inheritance and distillation.
struct DistillationOptions: ParsableArguments {
    @Option(help: "Folder of a trained diffusion transformer.")
    var teacher: String?
    @Flag(help: "Start from the teacher's weights, except the attention's.")
    var inherit: Bool = false
    @Option(name: .customLong("inherit-attention"), help: "With --inherit, what of the attention is taken over too: none, kv or all.")
    var inheritedAttention: InheritedAttention = .none
    @Flag(help: "Follow the teacher's noise and variance.")
    var distill: Bool = false
    @Option(name: .customLong("noise-weight"), help: "Weight of the teacher's noise in the loss.")
    var noiseWeight: Double = 0.5
    @Option(name: .customLong("variance-weight"), help: "Weight of the teacher's variance in the loss; 0 leaves it out.")
    var varianceWeight: Double = 0.05
    @Flag(name: .customLong("log-variance"), help: "Compare logarithms of the variance instead of the model's raw output for it.")
    var logVariance: Bool = false

    enum InheritedAttention: String, ExpressibleByArgument, CaseIterable { case none, kv, all }

    func readTeacher() throws -> DiT? {
        guard let teacher else {
            if inherit || distill { throw ValidationError("--inherit and --distill need --teacher FOLDER") }
            return nil
        }
        guard inherit || distill else { throw ValidationError("--teacher needs --inherit, --distill or both") }
        return try DiT.read(from: URL(fileURLWithPath: teacher, isDirectory: true))
    }

    func exclusion() throws -> InheritanceExclusion? {
        guard inherit else {
            if inheritedAttention != .none { throw ValidationError("--inherit-attention needs --inherit") }
            return nil
        }
        switch inheritedAttention {
        case .none: return .attention
        case .kv: return .allButKeysAndValues
        case .all: return .nothing
        }
    }

    func loss() throws -> HybridDistillationLoss? {
        guard distill else { return nil }
        return try HybridDistillationLoss(
            noiseWeight: noiseWeight, varianceWeight: varianceWeight, target: logVariance ? .logVariance : .raw)
    }
}

/// The optimisation flags of diffusion, with DiT's settings: a constant learning rate, no weight decay, averaged weights.
struct DiffusionOptimizationOptions: ParsableArguments {
    @Option(help: "Optimizer steps.")
    var steps: Int = 2000
    @Option(help: "Images in a batch.")
    var batch: Int = 32
    @Option(help: "Batches whose gradients are averaged into one step.")
    var accumulation: Int = 1
    @Option(name: .customLong("learning-rate"), help: "Learning rate.")
    var learningRate: Double = 3e-4
    @Option(name: .customLong("optimizer"), help: OptimizerArgument.help)
    var rule: OptimizerArgument = .adamw
    @Option(name: .customLong("weight-decay"), help: "Weight decay (default: of adamw 0, else the optimizer's own).")
    var weightDecay: Double?
    @Option(name: .customLong("clip-norm"), help: "Largest norm of the gradients.")
    var clipNorm: Double = 1
    @Option(name: .customLong("average-decay"), help: "Decay of the moving average of the weights; 0.9999 for long runs.")
    var averageDecay: Double = 0.995
    @Flag(help: "Compute the forward pass in bfloat16.")
    var bfloat16: Bool = false
    @Option(help: "Seed of weights, data order and noise.")
    var seed: UInt64 = 0
    @Option(help: "Threads of one operator; the default is one a core.")
    var threads: Int?

    func optimizer() throws -> OptimizerConfiguration {
        try rule.configuration(learningRate: learningRate, weightDecay: weightDecay, adamW: ["weightDecay": 0])
    }

    func trainer(_ run: RunOptions) throws -> TrainerConfiguration {
        if let threads { Threads.count = max(1, threads) }
        return try TrainerConfiguration(
            steps: steps, accumulation: accumulation, clipNorm: clipNorm, autocast: bfloat16 ? .bfloat16 : nil, averageDecay: averageDecay,
            validateEvery: run.validateEvery, patience: run.patience, checkpointEvery: run.checkpointEvery,
            checkpointMinutes: run.checkpointMinutes, keepCheckpoints: run.keep, seed: seed)
    }
}
