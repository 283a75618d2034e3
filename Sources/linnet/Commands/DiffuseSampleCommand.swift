import ArgumentParser
import Foundation
import SequenceModels
import Torch
import Training

struct DiffuseSampleCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "sample",
        abstract: "Draw images with a trained diffusion transformer, as one PNG.",
        discussion: """
            Without --class, the classes come in turn.

            Example:
              linnet diffuse sample --model runs/lit --count 16 --steps 50 --guidance 2 --class 3 --out samples.png
            """)

    @Option(help: "Folder of a trained diffusion transformer.")
    var model: String
    @Option(help: "The PNG file to write.")
    var out: String
    @Option(help: "Images to draw.")
    var count: Int = 16
    @Option(help: "Reverse steps.")
    var steps: Int = 50
    @Option(help: "Scale of classifier-free guidance; 1 is none.")
    var guidance: Double = 1
    @Option(name: .customLong("class"), help: "Class of all images, from 0.")
    var label: Int?
    @Option(help: "Images in a row of the picture.")
    var columns: Int?
    @Option(help: "Pixels to a side for each pixel of an image.")
    var zoom: Int = 4
    @Option(help: "Seed of the noise.")
    var seed: UInt64 = 0
    @Option(help: "Progress: auto, bar, json or quiet.")
    var progress: ProgressChoice = .auto

    func run() async throws {
        guard count > 0, zoom > 0, columns ?? 1 > 0 else { throw ValidationError("--count, --zoom and --columns have to be at least 1") }
        guard guidance.isFinite, guidance >= 0 else { throw ValidationError("--guidance has to be at least 0") }
        let dit: DiT = try DiT.read(from: URL(fileURLWithPath: model, isDirectory: true))
        let c: DiTConfiguration = dit.configuration
        guard (2...c.diffusionSteps).contains(steps) else {
            throw ValidationError("--steps has to lie in 2 ... \(c.diffusionSteps), the steps that the model was trained with")
        }
        if let label, !(0..<c.classes).contains(label) {
            throw ValidationError("--class has to lie in 0 ... \(c.classes - 1), the model's classes")
        }
        guard c.channels == 1 || c.channels == 3 else {
            throw ValidationError("the model's images have \(c.channels) channels; a PNG needs 1 or 3")
        }
        Interrupt.install()
        let bar: ProgressBar = ProgressBar("sampling", total: steps, unit: "images", style: progress.style)
        let images: Tensor = dit.sample(
            labels: (0..<count).map { label ?? $0 % c.classes }, steps: steps, guidance: guidance,
            generator: RandomGenerator(seed: seed, device: dit.device)
        ) { _ in
            bar.advance(by: count, metrics: [])
            return !Interrupt.isRequested
        }
        bar.finish()
        if Interrupt.isRequested { throw CancellationError() }
        let grid: ImageGrid = ImageGrid(images, columns: columns, zoom: zoom)
        try AtomicFile.write(grid.png(), to: out)
        print("\(count) images of \(c.imageSize) × \(c.imageSize) pixels in \(out)")
    }
}
