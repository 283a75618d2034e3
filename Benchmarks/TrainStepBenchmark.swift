import Foundation
import NN
import Optim
import SequenceModels
import Torch

/// A whole training step of a language model of 10 million parameters beside the same model in Python's torch and in MLX.
enum TrainStepBenchmark: Benchmark {
    static let name: String = "train-step"
    static let summary: String = "training step of a 10M-parameter DeltaNet language model beside Python torch's and MLX's"

    private static let repetitions: Int = 5
    private static let (batch, length, vocabulary): (Int, Int, Int) = (4, 512, 256)

    static func run() throws {
        Threads.count = 2
        let step: () -> Void = try ownStep()
        printLine("D 320, 8 layers, 5 heads of 64, B \(batch), T \(length), AdamW, 2 threads; medians of \(repetitions) in turn")
        printLine("peer     Linnet ms   peer ms   ratio")
        for name in ["torch", "mlx"] {
            do {
                let peer: PythonPeer = try PythonPeer(script: "train_step.py")
                let (own, other): (Double, Double) = try Timing.inTurn(
                    repetitions: repetitions, own: { Timing.seconds(step) }, peer: { try peer.seconds(name, iterations: 1) })
                printLine(
                    name.padding(toLength: 6, withPad: " ", startingAt: 0)
                        + String(format: "%12.1f %9.1f %7.2f", own * 1e3, other * 1e3, other / own))
            } catch {
                printLine("\(name): not measured, \(error)")
            }
        }
    }

    private static func ownStep() throws -> () -> Void {
        let model: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(
                vocabularySize: vocabulary, dimensions: 320, layers: 8, mixer: MixerConfiguration(.deltanet, heads: 5)))
        let parameters: [Tensor] = model.trainableParameters()
        printLine("\(parameters.reduce(0) { $0 + $1.count }) parameters")
        let optimizer: AdamW = try AdamW(parameters: parameters, configuration: AdamWConfiguration())
        let generator: RandomGenerator = RandomGenerator(seed: 1, device: .cpu)
        let tokens: Tensor = .randomIntegers([batch, length + 1], high: vocabulary, device: .cpu, generator: generator)
        let (inputs, targets): (Tensor, Tensor) = (
            tokens.narrowed(axis: 1, start: 0, length: length), tokens.narrowed(axis: 1, start: 1, length: length)
        )
        return {
            var state: LanguageModelState?
            let logits: Tensor = model(inputs, state: &state)
            let loss: Tensor = crossEntropy(logits.reshaped(-1, vocabulary), targets.reshaped(-1))
            optimizer.step(gradients(of: [loss], withRespectTo: parameters))
        }
    }
}
