import Foundation
import NN
import TestSupport
import Testing
import Torch

@testable import Efficiency
@testable import Experiments
@testable import Training

@Suite(.ownRandomNumbers) struct RedcoTests {
    private static let folder: URL = TestPaths.packageRoot.appendingPathComponent("Sources/Experiments/Efficiency/Redco/Pipelines")

    private static func lines(_ name: String) throws -> Int {
        let text: String = try String(contentsOf: folder.appendingPathComponent("\(name).swift"), encoding: .utf8)
        return text.split(separator: "\n").count { $0.contains { !$0.isWhitespace } }
    }

    /// What the experiment reports as the length of a program is the length of its file.
    @Test func linesAreCounted() throws {
        for (name, lines) in PipelineLines.files { #expect(try Self.lines(name) == lines, "\(name)") }
        #expect(try Self.lines("PlainLanguageModelLoop") == PipelineLines.plainLoop)
    }

    /// `linnet launch -n 4 -- linnet reproduce redco` refuses experiments that do not say that they work with several processes.
    @Test func aLauncherMayRunIt() { #expect(RedcoExperiment.usesProcessGroup) }

    /// A pipeline trains alike on one process and on four.
    @Test func metaLearningIsTheSameOnAnyMesh() throws {
        let tasks: [MetaLearningPipeline.Task] = Self.tasks(8)
        func losses(_ copies: Int) throws -> [Double] {
            try ProcessGroup.onThreads(copies) { group in
                let deployer: Deployer = try Deployer(mesh: Mesh(dp: copies, mp: 1), group: group, seed: 3)
                return try MetaLearningPipeline.run(deployer, training: tasks, testing: tasks, batch: 4, steps: 3).losses
            }[0]
        }
        let (whole, shared): ([Double], [Double]) = (try losses(1), try losses(4))
        #expect(whole.count == 3)
        #expect(RedcoExperiment.difference(shared, whole) < 1e-5)
    }

    private static func tasks(_ count: Int) -> [MetaLearningPipeline.Task] {
        var random: SplitMix64 = SplitMix64(seed: 1)
        let pixels: [UInt8] = (0..<200 * 4).map { _ in UInt8(random.next(below: 256)) }
        let images: LabelledImages = LabelledImages(
            channels: 1, height: 2, width: 2, labels: (0..<200).map { UInt8($0 % 10) }, pixels: pixels)
        return MetaLearningPipeline.tasks(images, count: count, seed: 2)
    }

    /// The outer gradient goes through the inner step: finite differences of the loss after the step.
    @Test func theOuterGradientIsOfSecondOrder() throws {
        let model: MetaLearningPipeline.Learner = MetaLearningPipeline.Learner(pixels: 196, seed: 1)
        model.to(dtype: .float64)
        let batch: [MetaLearningPipeline.TaskTensors] = MetaLearningPipeline.collate(Self.tasks(2)).map {
            MetaLearningPipeline.TaskTensors(
                support: $0.support.asType(.float64), supportLabels: $0.supportLabels, query: $0.query.asType(.float64),
                queryLabels: $0.queryLabels)
        }
        let random: RandomGenerator = RandomGenerator(seed: 0, device: .cpu)
        func loss() -> Tensor { MetaLearningPipeline.loss(model, batch, true, random) }
        let bias: Tensor = model.weights[3]
        let gradient: [Double] = gradients(of: [loss()], withRespectTo: [bias])[0].array(Double.self)
        for place in 0..<2 {
            let step: Tensor = Tensor((0..<5).map { $0 == place ? 1e-5 : 0 }, [5], dtype: .float64)
            let values: [Double] = [1.0, -2.0].map { factor in
                noGrad { bias.add_(step * factor) }
                return loss().item(Double.self)
            }
            noGrad { bias.add_(step) }
            #expect(abs((values[0] - values[1]) / 2e-5 - gradient[place]) < 1e-6)
        }
    }

    /// A push to the right moves the cart to the right and the pole to the left, and a pole that is left alone falls.
    @Test func theCartPoleFalls() {
        var random: SplitMix64 = SplitMix64(seed: 4)
        var game: CartPole = CartPole(&random)
        for _ in 0..<3 { _ = game.step(1) }
        #expect(game.state[1] > 0.3 && game.state[3] < -0.3)
        while true {
            let (ended, fell): (Bool, Bool) = game.step(1)
            if ended {
                #expect(fell && game.steps < 20)
                break
            }
        }
    }
}
