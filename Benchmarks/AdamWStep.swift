import Foundation
import Optim
import Torch

/// Microseconds of one AdamW step over 200 small float32 matrices, the fastest of several rounds. `Benchmarks/peers/adamw.py` runs the same in torch.
/// - Parameter size: rows and columns of each matrix.
func adamWStepMicroseconds(size: Int, count: Int = 200, rounds: Int = 20, stepsPerRound: Int = 10) throws -> Double {
    let parameters: [Tensor] = (0..<count).map { _ in Tensor.ones([size, size], device: .cpu) }
    let gradients: [Tensor] = parameters.map { $0 * 0.01 }
    let optimizer: AdamW = try AdamW(parameters: parameters, configuration: AdamWConfiguration())
    for _ in 0..<3 { optimizer.step(gradients) }
    let times: [Double] = (0..<rounds).map { _ in
        let elapsed: Duration = ContinuousClock().measure { for _ in 0..<stepsPerRound { optimizer.step(gradients) } }
        return elapsed / .microseconds(stepsPerRound)
    }
    return times.min() ?? .nan
}
