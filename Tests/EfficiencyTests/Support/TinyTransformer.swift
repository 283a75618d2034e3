import NN
import SequenceModels
import Torch
import Training

/// A small transformer in float64 whose weights are large enough to matter, the same on every call.
enum TinyTransformer {
    static let vocabulary: Int = 11

    static func make(
        dimensions: Int = 16, layers: Int = 2, heads: Int = 2, rotary: Bool = true, context: Int = 16, seed: UInt64 = 1
    ) throws -> PlainTransformer {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: vocabulary, dimensions: dimensions, layers: layers, heads: heads, maximumContext: context, rotary: rotary)
        let model: PlainTransformer = PlainTransformer(configuration, generator: RandomGenerator(seed: seed, device: .cpu))
        model.initializeNormal(standardDeviation: 0.4, generator: RandomGenerator(seed: seed, device: .cpu))
        model.to(dtype: .float64).train(false)
        return model
    }

    /// A Llama of float64 in which two query heads share one head of keys and values.
    static func llama(seed: UInt64 = 1) throws -> LlamaModel {
        let configuration: LlamaConfiguration = try LlamaConfiguration(
            vocabularySize: vocabulary, dimensions: 32, hiddenDimensions: 24, layers: 2, heads: 4, keyValueHeads: 2)
        let model: LlamaModel = LlamaModel(configuration)
        model.initializeNormal(standardDeviation: 0.4, generator: RandomGenerator(seed: seed, device: .cpu))
        model.to(dtype: .float64).train(false)
        return model
    }

    static func tokens(_ rows: Int, _ length: Int, seed: UInt64 = 7) -> Tensor {
        .randomIntegers([rows, length], high: vocabulary, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    static func batch(_ rows: Int, _ length: Int, seed: UInt64 = 7) -> TokenBatch {
        func draw(_ seed: UInt64) -> [Int32] { tokens(rows, length, seed: seed).flattened().array(Int64.self).map { Int32($0) } }
        return TokenBatch(tokens: draw(seed), targets: draw(seed + 1), rows: rows)
    }
}

/// Largest difference between two tensors over the largest entry of the second; infinite for other shapes.
func relativeError(_ found: Tensor, _ expected: Tensor) -> Double {
    guard found.shape == expected.shape else { return .infinity }
    return noGrad { ((found - expected).abs().max() / expected.abs().max()).item(Double.self) }
}

/// The central difference of a value at one element of a parameter, which is put back.
func differenceQuotient(_ parameter: Tensor, at place: Int, step: Double = 1e-5, of value: () -> Tensor) -> Double {
    let entry: Tensor = parameter.detached().flattened().narrowed(axis: 0, start: place, length: 1)
    let middle: Tensor = entry.cloned()
    entry.copy_(from: middle + step)
    let above: Double = noGrad { value() }.item()
    entry.copy_(from: middle - step)
    let below: Double = noGrad { value() }.item()
    entry.copy_(from: middle)
    return (above - below) / (2 * step)
}
