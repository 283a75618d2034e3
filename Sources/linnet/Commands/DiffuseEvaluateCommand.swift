import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

struct DiffuseEvaluateCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure a diffusion transformer: error of the noise, and Fréchet distance of its samples.",
        discussion: """
            The noise error is measured on held-out images with steps and noise that are always the same. The distance is taken between 64 features
            of a small classifier, trained here on the same images; it depends on the number of samples, so compare equal ones.

            Examples:
              linnet diffuse evaluate --model runs/lit --data mnist
              linnet diffuse evaluate --model runs/lit --data mnist --samples 0 --json
            """)

    @Option(help: "Folder of a trained diffusion transformer.")
    var model: String
    @Option(help: "The data set that it was trained on: mnist or cifar10.")
    var data: ImageData
    @Option(help: "Most training images for the classifier.")
    var limit: Int = 8000
    @Option(help: "Held-out images.")
    var images: Int = 512
    @Option(help: "Samples for the Fréchet distance; 0 leaves it out.")
    var samples: Int = 1000
    @Option(help: "Reverse steps of a sample.")
    var steps: Int = 50
    @Option(help: "Scale of classifier-free guidance; 1 is none.")
    var guidance: Double = 1
    @Option(help: "Seed of the samples.")
    var seed: UInt64 = 0
    @Flag(help: "Print one JSON object.")
    var json: Bool = false
    @Option(help: "Progress: auto, bar, json or quiet.")
    var progress: ProgressChoice = .auto

    func run() async throws {
        let dit: DiT = try DiT.read(from: URL(fileURLWithPath: model, isDirectory: true))
        let c: DiTConfiguration = dit.configuration
        try check(c)
        Interrupt.install()
        let (train, test) = try data.images(side: c.imageSize, limit: limit, held: images)
        var results: [String: Double] = [
            "noise_error": NoiseBenchmark(test, diffusion: GaussianDiffusion(steps: c.diffusionSteps)).noiseError(of: dit)
        ]
        if samples > 0 {
            guard samples <= train.count else { throw ValidationError("--samples has to be at most --limit, \(train.count)") }
            let (distance, accuracy) = try frechetDistance(dit, train, test)
            (results["frechet_distance"], results["feature_accuracy"]) = (distance, accuracy)
        }
        show(results, test.count)
    }

    private func check(_ c: DiTConfiguration) throws {
        guard c.channels == data.channels else {
            throw ValidationError("the model's images have \(c.channels) channels, those of \(data.rawValue) \(data.channels)")
        }
        guard images > 0, limit > 0 else { throw ValidationError("--images and --limit have to be at least 1") }
        guard samples == 0 || samples > 1 else { throw ValidationError("--samples has to be 0 or at least 2") }
        guard guidance.isFinite, guidance >= 0 else { throw ValidationError("--guidance has to be at least 0") }
        guard (2...c.diffusionSteps).contains(steps) else {
            throw ValidationError("--steps has to lie in 2 ... \(c.diffusionSteps), the steps that the model was trained with")
        }
        guard samples == 0 || c.imageSize % 4 == 0 else {
            throw ValidationError("the Fréchet distance needs images whose size is a multiple of 4; use --samples 0")
        }
    }

    private func frechetDistance(_ dit: DiT, _ train: SequenceDataset, _ test: SequenceDataset) throws -> (Double, accuracy: Double) {
        let (features, accuracy) = try ImageFeatures.trained(on: train, test: test, progress: progress.style)
        let bar: ProgressBar = ProgressBar("sampling", total: steps, unit: "images", style: progress.style)
        let drawn: Tensor = dit.sample(
            labels: (0..<samples).map { $0 % dit.configuration.classes }, steps: steps, guidance: guidance,
            generator: RandomGenerator(seed: seed, device: dit.device)
        ) { _ in
            bar.advance(by: samples, metrics: [])
            return !Interrupt.isRequested
        }
        bar.finish()
        if Interrupt.isRequested { throw CancellationError() }
        let real: Tensor = train.batch(0..<samples).images(device: dit.device).images
        return (SequenceModels.frechetDistance(features.allFeatures(drawn), features.allFeatures(real)), accuracy)
    }

    private func show(_ results: [String: Double], _ held: Int) {
        if json {
            print((try? results.sortedJSON()) ?? "")
            return
        }
        print(String(format: "noise error %.4f on %d held-out images", results["noise_error"] ?? .nan, held))
        if let distance = results["frechet_distance"], let accuracy = results["feature_accuracy"] {
            print(
                String(
                    format: "Fréchet distance %.2f of %d samples with %d steps (features of a classifier with accuracy %.4f)", distance,
                    samples, steps, accuracy))
        }
    }
}
