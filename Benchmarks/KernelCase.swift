import SequenceModels
import Torch

/// One operator over heads at one size, with its inputs and the FLOPs of its fused algorithm.
struct KernelCase {
    static let batch: Int = 2
    static let heads: Int = 4
    static let names: [String] = ["additive", "scalar", "gla", "delta"]

    let name: String
    let width: Int
    let length: Int
    private let inputs: [Tensor]
    private let weights: Tensor

    init(_ name: String, width: Int, length: Int) {
        (self.name, self.width, self.length) = (name, width, length)
        let generator: RandomGenerator = RandomGenerator(seed: 1, device: .cpu)
        let (steps, shape): ([Int], [Int]) = ([Self.batch, length, Self.heads], [Self.batch, length, Self.heads, width])
        func normal() -> Tensor { .normal(shape, device: .cpu, generator: generator) }
        let keys: Tensor = normal()
        let gates: [Tensor] =
            switch name {
            case "scalar": [.uniform(steps, device: .cpu, generator: generator) * -0.1]
            case "gla": [.uniform(shape, device: .cpu, generator: generator) * -0.1]
            case "delta": [.uniform(steps, device: .cpu, generator: generator)]
            default: []
            }
        inputs = ([normal(), keys / keys.norm(axes: [3], keepDims: true), normal()] + gates).map { $0.requiringGrad() }
        weights = normal()
    }

    private func output() -> Tensor {
        let (q, k, v): (Tensor, Tensor, Tensor) = (inputs[0], inputs[1], inputs[2])
        return switch name {
        case "scalar": simpleGatedLinearAttention(q: q, k: k, v: v, logGate: inputs[3]).output
        case "gla": gatedLinearAttention(q: q, k: k, v: v, logGate: inputs[3]).output
        case "delta": deltaRule(q: q, k: k, v: v, beta: inputs[3]).output
        default: linearAttention(q: q, k: k, v: v).output
        }
    }

    func run(backward: Bool) {
        if backward {
            _ = gradients(of: [output()], withRespectTo: inputs, outputGradients: [weights])
        } else {
            noGrad { _ = output() }
        }
    }

    /// Multiplications and additions of the products alone, for chunks of 64; a triangular half counts as a half. The backward's
    /// include what it computes again.
    func operations(backward: Bool) -> Double {
        let (state, inside): (Double, Double) = (Double(width * width), Double(64 * width))
        let forward: Double = name == "delta" ? 6 * state + 4 * inside : 4 * state + 2 * inside
        let back: Double = name == "delta" ? 16 * state + 12 * inside : 10 * state + 5 * inside
        return (backward ? forward + back : forward) * Double(Self.batch * Self.heads * length)
    }

    /// Bytes of inputs, output and, for training, the gradients of both.
    func tensorBytes(backward: Bool) -> Int {
        let elements: Int = inputs.reduce(0) { $0 + $1.count } + weights.count
        return 4 * elements * (backward ? 2 : 1)
    }
}
