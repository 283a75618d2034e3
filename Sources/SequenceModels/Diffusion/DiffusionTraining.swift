import Foundation
import NN
import Optim
import Torch
import Training

/// Everything that defines the training of a ``DiT`` on images, beside the images and the teacher.
public struct DiffusionTraining: Codable, Sendable {
    public var model: DiTConfiguration
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Images in a batch.
    public var rows: Int
    /// Which of the teacher's weights the student does not start from; nil starts from none.
    public var inheritance: InheritanceExclusion?
    /// How the student follows the teacher; nil trains on the images alone.
    public var distillation: HybridDistillationLoss?

    public init(
        model: DiTConfiguration, optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, rows: Int,
        inheritance: InheritanceExclusion? = nil, distillation: HybridDistillationLoss? = nil
    ) {
        self.model = model
        self.optimizer = optimizer
        self.trainer = trainer
        self.rows = rows
        self.inheritance = inheritance
        self.distillation = distillation
    }

    /// Builds the model from the trainer's seed, gives it what it inherits, and trains it.
    /// - Parameters:
    ///   - train: images to train on.
    ///   - held: images and noise to validate on; nil validates never.
    ///   - teacher: with its averaged weights; needed for inheritance and distillation. It is put into evaluation mode.
    ///   - outlet: where checkpoints and metrics go, and whether an earlier run goes on.
    /// - Throws: `ConfigurationError` without a teacher where one is needed, or with one of another shape; and what the trainer throws.
    public func run(
        train: SequenceDataset, held: NoiseBenchmark?, teacher: DiT? = nil, outlet: TrainingOutlet = TrainingOutlet()
    ) throws -> (model: DiT, result: TrainingResult) {
        guard rows > 0, rows <= train.count else {
            throw ConfigurationError("rows is \(rows); it has to lie in 1 ... \(train.count), the number of images")
        }
        let student: DiT = try makeStudent(teacher)
        let diffusion: GaussianDiffusion = GaussianDiffusion(steps: model.diffusionSteps)
        let parameters: [(name: String, tensor: Tensor)] = student.namedParameters()
        let result: TrainingResult = try outlet.train(
            student,
            with: try optimizer.makeOptimizer(groups: [ParameterGroup(parameters: parameters.map(\.tensor), names: parameters.map(\.name))]
            ),
            on: NoisedImages(train, rows: rows, seed: trainer.seed), trainer, description: try sortedJSON(),
            validation: held.map { held in { ["loss": held.noiseError(of: student)] } },
            loss: { loss($0, student: student, teacher: teacher, diffusion: diffusion) })
        return (student, result)
    }

    /// The model as it starts: drawn from the trainer's seed, with what it inherits.
    public func makeStudent(_ teacher: DiT?) throws -> DiT {
        seedEverything(trainer.seed)
        let student: DiT = try DiT(model)
        guard inheritance != nil || distillation != nil else { return student }
        guard let teacher else { throw ConfigurationError("inheritance and distillation need a teacher") }
        teacher.train(false)
        try inherit(from: teacher, into: student, excluding: inheritance ?? .everything)
        return student
    }

    private func loss(_ batch: NoisedBatch, student: DiT, teacher: DiT?, diffusion: GaussianDiffusion) -> Tensor {
        let input: NoisedInput = NoisedInput(batch, diffusion: diffusion, device: student.device) {
            student.droppingLabels($0, generator: $1)
        }
        let prediction: NoisePrediction = student(input.noisy, steps: input.steps, labels: input.labels)
        let own: Tensor = diffusion.trainingLosses(
            prediction, clean: input.clean, noisy: input.noisy, noise: input.noise, steps: input.steps
        ).total
        guard let distillation, let teacher else { return own }
        let guide: NoisePrediction = noGrad { teacher(input.noisy, steps: input.steps, labels: input.labels) }
        return own + distillation(student: prediction, teacher: guide, steps: input.steps, diffusion: diffusion)
    }
}
