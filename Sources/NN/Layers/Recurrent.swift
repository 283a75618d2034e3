import Torch

/// The parameters of a stack of recurrent layers, under torch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`,
/// and with `_reverse` those of the backward direction.
public class RecurrentStack: Module {
    /// Input weights `[gates · H, inputs]`, recurrent weights `[gates · H, H]` and biases `[gates · H]` of each layer and direction.
    @ParameterInfo(key: "") public var weights: [String: Tensor]
    public let hiddenDimensions: Int
    public let layerCount: Int
    public let bidirectional: Bool
    public let hasBias: Bool
    /// Probability of dropping an output of every layer but the last while training.
    public let dropout: Double

    /// Everything starts uniform in `±1/√H`.
    init(
        gates: Int, _ inputDimensions: Int, _ hiddenDimensions: Int, layers: Int, bias: Bool, dropout: Double, bidirectional: Bool,
        generator: RandomGenerator?
    ) {
        precondition(layers > 0, "a recurrent stack of \(layers) layers")
        (self.hiddenDimensions, layerCount, self.bidirectional) = (hiddenDimensions, layers, bidirectional)
        (hasBias, self.dropout) = (bias, dropout)
        super.init()
        let bound: Double = 1 / Double(max(hiddenDimensions, 1)).squareRoot()
        let rows: Int = gates * hiddenDimensions
        var made: [String: Tensor] = [:]
        for (layer, suffix) in suffixes {
            let inputs: Int = layer == 0 ? inputDimensions : hiddenDimensions * directions
            let shapes: [[Int]] = [[rows, inputs], [rows, hiddenDimensions], [rows], [rows]]
            for (name, shape) in zip(names, shapes) {
                made[name + suffix] = .uniform(shape, low: -bound, high: bound, generator: generator)
            }
        }
        weights = made
    }

    var directions: Int { bidirectional ? 2 : 1 }

    private var names: [String] { ["weight_ih_", "weight_hh_"] + (hasBias ? ["bias_ih_", "bias_hh_"] : []) }

    private var suffixes: [(layer: Int, suffix: String)] {
        (0..<layerCount).flatMap { layer in (bidirectional ? ["", "_reverse"] : [""]).map { (layer, "l\(layer)\($0)") } }
    }

    /// The parameters in the order of libtorch's operators.
    var orderedWeights: [Tensor] {
        suffixes.flatMap { _, suffix in
            names.map { name in
                guard let weight = weights[name + suffix] else { preconditionFailure("no parameter \(name + suffix)") }
                return weight
            }
        }
    }

    /// Zeros `[layers · directions, B, H]` for a batch `[B, T, D]`.
    func zeroState(for x: Tensor) -> Tensor {
        precondition(x.ndim == 3, "a recurrent layer needs [B, T, D]; shape is \(x.shape)")
        return .zeros([layerCount * directions, x.dim(0), hiddenDimensions], dtype: x.dtype, device: x.device)
    }
}

/// Gated recurrent units (arXiv 1406.1078): `[B, T, D]` to `[B, T, H]`, or `[B, T, 2H]` in both directions.
public final class GRU: RecurrentStack, UnaryLayer {
    public init(
        _ inputDimensions: Int, _ hiddenDimensions: Int, layers: Int = 1, bias: Bool = true, dropout: Double = 0,
        bidirectional: Bool = false, generator: RandomGenerator? = nil
    ) {
        super.init(
            gates: 3, inputDimensions, hiddenDimensions, layers: layers, bias: bias, dropout: dropout, bidirectional: bidirectional,
            generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { callAsFunction(x, state: nil).output }

    /// - Parameter state: `[layers · directions, B, H]`; nil is zeros.
    /// - Returns: the last layer's outputs, and the state after the last step.
    public func callAsFunction(_ x: Tensor, state: Tensor?) -> (output: Tensor, state: Tensor) {
        let results: [Tensor] = gruOp.tensors(
            x, state ?? zeroState(for: x), orderedWeights, hasBias, layerCount, dropout, isTraining, bidirectional, true)
        return (results[0], results[results.count - 1])
    }
}

/// Long short-term memory (Hochreiter and Schmidhuber, 1997): `[B, T, D]` to `[B, T, H]`, or `[B, T, 2H]` in both directions.
public final class LSTM: RecurrentStack, UnaryLayer {
    /// What the layer carries from step to step, each `[layers · directions, B, H]`.
    public typealias State = (hidden: Tensor, cell: Tensor)

    public init(
        _ inputDimensions: Int, _ hiddenDimensions: Int, layers: Int = 1, bias: Bool = true, dropout: Double = 0,
        bidirectional: Bool = false, generator: RandomGenerator? = nil
    ) {
        super.init(
            gates: 4, inputDimensions, hiddenDimensions, layers: layers, bias: bias, dropout: dropout, bidirectional: bidirectional,
            generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { callAsFunction(x, state: nil).output }

    /// - Parameter state: nil is zeros.
    /// - Returns: the last layer's outputs, and the state after the last step.
    public func callAsFunction(_ x: Tensor, state: State?) -> (output: Tensor, state: State) {
        let before: [Tensor] = state.map { [$0.hidden, $0.cell] } ?? [zeroState(for: x), zeroState(for: x)]
        let results: [Tensor] = lstmOp.tensors(
            x, before, orderedWeights, hasBias, layerCount, dropout, isTraining, bidirectional, true)
        // After a captured failure there is only a placeholder.
        guard results.count == 3 else { return (results[0], (results[0], results[0])) }
        return (results[0], (results[1], results[2]))
    }
}

private let gruOp: Operator = Operator("gru", "input")
private let lstmOp: Operator = Operator("lstm", "input")
