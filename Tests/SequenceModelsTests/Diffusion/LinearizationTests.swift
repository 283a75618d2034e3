import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// How a linear student comes from a softmax teacher: inheritance, distillation, training.
@Suite(.ownRandomNumbers) struct LinearizationTests {
    private func tensors(_ model: DiT) -> [String: Tensor] { Dictionary(uniqueKeysWithValues: model.stateTensors()) }

    @Test(arguments: InheritanceExclusion.allCases) func whatIsInheritedIsTheTeachers(excluding: InheritanceExclusion) throws {
        let teacher: DiT = try SmallDiT.random(try SmallDiT.configuration(.softmax, heads: 4), seed: 1)
        let student: DiT = try SmallDiT.random(try SmallDiT.configuration(.linear), seed: 2)
        let before: [String: Tensor] = tensors(student).mapValues { $0.detached().cloned() }
        let names: [String] = try inherit(from: teacher, into: student, excluding: excluding)
        let (own, theirs): ([String: Tensor], [String: Tensor]) = (tensors(student), tensors(teacher))
        for (name, tensor) in own {
            let source: Tensor = names.contains(name) ? try #require(theirs[name]) : try #require(before[name])
            guard excluding == .allButKeysAndValues, name.contains(".attn.qkv.") else {
                #expect(tensor.isEqual(to: source), "\(name)")
                continue
            }
            let teachers: Tensor = try #require(theirs[name])
            #expect(tensor.narrowed(axis: 0, start: 0, length: 8).isEqual(to: source.narrowed(axis: 0, start: 0, length: 8)))
            #expect(tensor.narrowed(axis: 0, start: 8, length: 16).isEqual(to: teachers.narrowed(axis: 0, start: 8, length: 16)))
        }
        let attention: [String] = names.filter { $0.contains(".attn.") }
        #expect(attention.count == (excluding == .nothing ? 8 : 0))
        #expect(names.isEmpty == (excluding == .everything))
        #expect(names.contains("blocks.1.adaLN_modulation.1.weight") == (excluding != .everything))
    }

    @Test func modelsOfDifferentShapesDoNotInherit() throws {
        let teacher: DiT = try DiT(try SmallDiT.configuration(.softmax, depth: 3))
        let student: DiT = try DiT(try SmallDiT.configuration())
        #expect(throws: ConfigurationError("the teacher's depth is 3 and the student's 2; inheritance and distillation need the same")) {
            try inherit(from: teacher, into: student)
        }
    }

    // MARK: Distillation

    private func prediction(seed: UInt64) -> NoisePrediction {
        let both: Tensor = .normal([2, 2, 3, 4], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
        return NoisePrediction(noise: both[0], variance: both[1])
    }

    @Test func distillationIsTheWeightedSum() throws {
        let (student, teacher): (NoisePrediction, NoisePrediction) = (prediction(seed: 1), prediction(seed: 2))
        let (steps, diffusion): (Tensor, GaussianDiffusion) = (Tensor([3, 600]), GaussianDiffusion())
        func loss(_ loss: HybridDistillationLoss, _ other: NoisePrediction) -> Double {
            loss(student: student, teacher: other, steps: steps, diffusion: diffusion).item()
        }
        for target in HybridDistillationLoss.VarianceTarget.allCases {
            #expect(loss(try HybridDistillationLoss(target: target), student) == 0)
        }
        let noise: Double = (student.noise - teacher.noise).square().mean().item()
        let difference: Tensor = student.variance - teacher.variance
        #expect(
            abs(loss(try HybridDistillationLoss(), teacher) - 0.5 * noise - 0.05 * difference.square().mean().item(Double.self)) < 1e-12)
        #expect(loss(try HybridDistillationLoss(noiseWeight: 2, varianceWeight: 0), teacher) == 2 * noise)
        // log Σ is linear in v, with half the distance of its bounds as slope.
        let slopes: [Double] = [3, 600].map { log(diffusion.betas[$0] / diffusion.posteriorVariances[$0]) / 2 }
        let logarithms: Tensor = difference * Tensor(slopes, [2, 1, 1])
        let found: Double = loss(try HybridDistillationLoss(noiseWeight: 0, varianceWeight: 1, target: .logVariance), teacher)
        #expect(abs(found / logarithms.square().mean().item(Double.self) - 1) < 1e-9)
        #expect(throws: ConfigurationError.self) { try HybridDistillationLoss(noiseWeight: -1) }
    }

    @Test func theTeacherGetsNoGradient() throws {
        let (student, teacher): (NoisePrediction, NoisePrediction) = (prediction(seed: 1), prediction(seed: 2))
        for tensor in [student.noise, student.variance, teacher.noise, teacher.variance] { tensor.requiringGrad() }
        let loss: Tensor = try HybridDistillationLoss()(
            student: student, teacher: teacher, steps: Tensor([3, 600]), diffusion: GaussianDiffusion())
        let own: [Tensor] = gradients(of: [loss], withRespectTo: [student.noise, student.variance])
        #expect(relativeError(own[0], (student.noise - teacher.noise).detached() * (2 * 0.5 / 24)) < 1e-12)
        #expect(relativeError(own[1], (student.variance - teacher.variance).detached() * (2 * 0.05 / 24)) < 1e-12)
        let theirs: [Tensor] = gradients(of: [loss + teacher.noise.sum() * 0 + teacher.variance.sum() * 0], withRespectTo: [teacher.noise])
        #expect(theirs[0].countNonzero().item(Int.self) == 0)
    }

    // MARK: Training

    /// Bright squares in one of four corners.
    private static let corners: SequenceDataset = {
        let values: [Float] = (0..<64).flatMap { image in
            (0..<64).map { pixel in
                let corner: Int = (pixel / 8 < 4 ? 0 : 2) + (pixel % 8 < 4 ? 0 : 1)
                return corner == image % 4 ? 1 : -1
            }
        }
        return SequenceDataset(
            values: values, labels: (0..<64).map { Int32($0 % 4) }, length: 64, channels: 1, classes: (0..<4).map(String.init))
    }()

    private func training(
        _ attention: DiTAttention, steps: Int, inheritance: InheritanceExclusion? = nil, distillation: HybridDistillationLoss? = nil
    ) throws -> DiffusionTraining {
        DiffusionTraining(
            model: try DiTConfiguration(
                imageSize: 8, channels: 1, classes: 4, dimensions: 16, depth: 1, heads: 2, attention: attention, kernel: 3),
            optimizer: .adamw(try AdamWConfiguration(learningRate: 5e-3, weightDecay: 0)),
            trainer: try TrainerConfiguration(steps: steps, averageDecay: 0.9, checkpointEvery: 5, checkpointMinutes: nil, seed: 3),
            rows: 16, inheritance: inheritance, distillation: distillation)
    }

    @Test func trainingLowersTheNoiseErrorAndStudentsFollow() throws {
        let held: NoiseBenchmark = NoiseBenchmark(Self.corners, diffusion: GaussianDiffusion())
        let (teacher, _) = try training(.softmax, steps: 60).run(train: Self.corners, held: nil, outlet: TrainingOutlet(progress: .quiet))
        let error: Double = held.noiseError(of: teacher)
        #expect(error < 0.8)
        #expect(!teacher.isTraining)
        let (scratch, _) = try training(.linear, steps: 10).run(train: Self.corners, held: nil, outlet: TrainingOutlet(progress: .quiet))
        let distilled: DiffusionTraining = try training(
            .linear, steps: 10, inheritance: .attention, distillation: try HybridDistillationLoss())
        let (student, _) = try distilled.run(train: Self.corners, held: held, teacher: teacher, outlet: TrainingOutlet(progress: .quiet))
        #expect(held.noiseError(of: student) < held.noiseError(of: scratch))
        #expect(held.varianceError(of: teacher, against: teacher) == 0)
        #expect(held.varianceError(of: student, against: teacher) < held.varianceError(of: scratch, against: teacher))
        #expect(throws: ConfigurationError.self) {
            try distilled.run(train: Self.corners, held: nil, outlet: TrainingOutlet(progress: .quiet))
        }
    }

    @Test func batchesAndTheirNoiseFollowFromTheSeed() throws {
        func input(seed: UInt64, step: Int) throws -> NoisedInput {
            let source: NoisedImages = NoisedImages(Self.corners, rows: 8, seed: seed)
            return NoisedInput(try source.batch(step), diffusion: GaussianDiffusion(), device: .cpu)
        }
        let first: NoisedInput = try input(seed: 1, step: 4)
        #expect(try input(seed: 1, step: 4).noisy.isEqual(to: first.noisy))
        #expect(try !input(seed: 1, step: 5).noise.isEqual(to: first.noise))
        #expect(try !input(seed: 2, step: 4).noise.isEqual(to: first.noise))
        // The bright corner of an image is its label's.
        let means: Tensor = first.clean.averagePool2d(size: 4).reshaped(8, 4)
        #expect(means.argMax(axis: 1).isEqual(to: first.labels))
        let steps: [Int] = first.steps.array()
        #expect(steps.allSatisfy { (0..<1000).contains($0) } && Set(steps).count > 4)
    }

    /// A run that is read before its end gives the average of its weights, not the weights.
    @Test func anUnfinishedRunIsReadWithItsAverage() throws {
        try TestPaths.withTemporaryFolder { folder in
            let training: DiffusionTraining = try training(.linear, steps: 8)
            let (model, _) = try training.run(train: Self.corners, held: nil, outlet: TrainingOutlet(folder: folder, progress: .quiet))
            try DiT.describe(training.model, in: folder)
            let read: DiT = try DiT.read(from: folder)
            for (name, tensor) in tensors(model) { #expect(try #require(tensors(read)[name]).isEqual(to: tensor), "\(name)") }
        }
    }
}
