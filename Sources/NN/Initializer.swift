import Foundation
import Torch

/// How the elements of a parameter start.
///
/// The fans of a weight are, as torch counts them, the elements that one output reads, `shape[1] · places` (in), and those that one
/// input writes, `shape[0] · places` (out), where places is the product of the axes behind the second.
public enum Initializer: Sendable, Hashable, Codable {
    case constant(Double)
    /// Uniform in `[low, high)`.
    case uniform(low: Double, high: Double)
    case normal(mean: Double = 0, standardDeviation: Double = 1)
    /// Normal, without what lies outside `lowest ... highest`.
    case truncatedNormal(mean: Double = 0, standardDeviation: Double = 1, lowest: Double = -2, highest: Double = 2)
    /// Uniform with variance `gain² · 2 / (in + out)` (Glorot and Bengio, 2010).
    case xavierUniform(gain: Double = 1)
    /// Normal with variance `gain² · 2 / (in + out)`.
    case xavierNormal(gain: Double = 1)
    /// Uniform with variance `gain² / fan` (arXiv 1502.01852); √2 is the gain for ReLU.
    case kaimingUniform(gain: Double = 2.0.squareRoot(), fan: Fan = .input)
    /// Normal with variance `gain² / fan`.
    case kaimingNormal(gain: Double = 2.0.squareRoot(), fan: Fan = .input)
    /// Rows, or columns where there are fewer, of length `gain` at right angles to each other (arXiv 1312.6120);
    /// axes behind the first count as one.
    case orthogonal(gain: Double = 1)

    public enum Fan: String, Sendable, Codable {
        case input
        case output
    }

    public static let zeros: Initializer = .constant(0)
    public static let ones: Initializer = .constant(1)

    /// A new tensor. Traps where the method needs a weight of two or more axes and the shape has fewer.
    public func callAsFunction(
        _ shape: [Int], dtype: DType = .float32, device: Device = .default, generator: RandomGenerator? = nil
    ) -> Tensor {
        switch self {
        case .constant(let value):
            return .full(shape, value, dtype: dtype, device: device)
        case .uniform(let low, let high):
            return .uniform(shape, low: low, high: high, dtype: dtype, device: device, generator: generator)
        case .normal(let mean, let deviation):
            return .normal(shape, mean: mean, standardDeviation: deviation, dtype: dtype, device: device, generator: generator)
        case .truncatedNormal(let mean, let deviation, let lowest, let highest):
            let standard: Tensor = Self.truncatedNormal(shape, (lowest - mean) / deviation, (highest - mean) / deviation, device, generator)
            return (standard * deviation + mean).clamped(lowest, highest).asType(dtype)
        case .xavierUniform(let gain):
            return Self.uniform(shape, deviation: Self.xavierDeviation(shape, gain), dtype, device, generator)
        case .xavierNormal(let gain):
            let deviation: Double = Self.xavierDeviation(shape, gain)
            return .normal(shape, standardDeviation: deviation, dtype: dtype, device: device, generator: generator)
        case .kaimingUniform(let gain, let fan):
            return Self.uniform(shape, deviation: Self.kaimingDeviation(shape, gain, fan), dtype, device, generator)
        case .kaimingNormal(let gain, let fan):
            let deviation: Double = Self.kaimingDeviation(shape, gain, fan)
            return .normal(shape, standardDeviation: deviation, dtype: dtype, device: device, generator: generator)
        case .orthogonal(let gain):
            return Self.orthogonal(shape, dtype, device, generator) * gain
        }
    }

    /// Overwrites the elements of a parameter.
    public func fill(_ tensor: Tensor, generator: RandomGenerator? = nil) {
        noGrad { tensor.copy_(from: self(tensor.shape, dtype: tensor.dtype, device: tensor.device, generator: generator)) }
    }
}

extension Initializer {
    private static func fans(_ shape: [Int]) -> (input: Int, output: Int) {
        precondition(shape.count >= 2, "fans need a weight of two or more axes; shape is \(shape)")
        let places: Int = shape.dropFirst(2).reduce(1, *)
        return (shape[1] * places, shape[0] * places)
    }

    private static func xavierDeviation(_ shape: [Int], _ gain: Double) -> Double {
        let (input, output): (Int, Int) = fans(shape)
        return gain * (2 / Double(max(input + output, 1))).squareRoot()
    }

    private static func kaimingDeviation(_ shape: [Int], _ gain: Double, _ fan: Fan) -> Double {
        let (input, output): (Int, Int) = fans(shape)
        return gain / Double(max(fan == .input ? input : output, 1)).squareRoot()
    }

    /// Uniform around 0 with the given standard deviation, which is 1/√3 of the bound.
    private static func uniform(_ shape: [Int], deviation: Double, _ dtype: DType, _ device: Device, _ generator: RandomGenerator?)
        -> Tensor
    {
        let bound: Double = 3.0.squareRoot() * deviation
        return .uniform(shape, low: -bound, high: bound, dtype: dtype, device: device, generator: generator)
    }

    /// The standard normal between two bounds, by the inverse of its distribution function at uniform places. In float64, since the
    /// function is steep in the tails.
    private static func truncatedNormal(
        _ shape: [Int], _ lowest: Double, _ highest: Double, _ device: Device, _ generator: RandomGenerator?
    ) -> Tensor {
        func distribution(_ x: Double) -> Double { (1 + erf(x / 2.0.squareRoot())) / 2 }
        let (low, high): (Double, Double) = (2 * distribution(lowest) - 1, 2 * distribution(highest) - 1)
        let places: Tensor = .uniform(shape, low: low, high: high, dtype: .float64, device: device, generator: generator)
        return places.erfinv() * 2.0.squareRoot()
    }

    private static func orthogonal(_ shape: [Int], _ dtype: DType, _ device: Device, _ generator: RandomGenerator?) -> Tensor {
        precondition(shape.count >= 2, "an orthogonal start needs a weight of two or more axes; shape is \(shape)")
        let flat: [Int] = [shape[0], shape.dropFirst().reduce(1, *)]
        let random: Tensor = .normal(flat, dtype: dtype, device: device, generator: generator)
        let (q, r): (Tensor, Tensor) = orthogonalFactors(flat[0] < flat[1] ? random.mT : random)
        // Signs that make the factorisation unique, and with it the distribution uniform over orthogonal matrices.
        let unique: Tensor = q * r.diagonal().sign()
        return (flat[0] < flat[1] ? unique.mT : unique).reshaped(shape).contiguous()
    }

    private static func orthogonalFactors(_ matrix: Tensor) -> (Tensor, Tensor) {
        let factors: [Tensor] = qrOp.tensors(matrix, "reduced")
        return (factors[0], factors[factors.count - 1])
    }
}

private let qrOp: Operator = Operator("linalg_qr")

extension Module {
    /// Starts parameters anew. `choose` is asked for every parameter with the module that holds it and its name there (`weight`), and
    /// leaves alone those for which it gives nil. A parameter shared between modules is asked for once, where it comes first.
    public func initialize(generator: RandomGenerator? = nil, _ choose: (_ module: Module, _ name: String) -> Initializer?) {
        var seen: Set<ObjectIdentifier> = []
        for (_, module) in namedModules() {
            for (name, tensor) in module.directParameters() where seen.insert(ObjectIdentifier(tensor)).inserted {
                choose(module, name)?.fill(tensor, generator: generator)
            }
        }
    }

    /// Starts the weights of every ``Linear`` and ``Embedding`` as N(0, σ²) and their biases as 0, as language models do.
    public func initializeNormal(standardDeviation: Double = 0.02, generator: RandomGenerator? = nil) {
        initialize(generator: generator) { module, name in
            guard module is Linear || module is Embedding else { return nil }
            return name == "bias" ? .zeros : .normal(standardDeviation: standardDeviation)
        }
        for case let (_, table as Embedding) in namedModules() { table.clearPadding() }
    }
}
