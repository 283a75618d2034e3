import Foundation
import Torch
import Training

/// The elements that are largest by magnitude, as values and places (Aji and Heafield, 2017; Lin et al., 2018). The number is how many are kept; the
/// reference is a density. An element takes 8 bytes: a float32 and an int32.
public final class TopKCompressor: GradientCompressor {
    public static let name: String = "topk"

    public init() {}

    public func compresses(_ shape: [Int], reference: Double) -> Bool { shape.count > 1 }

    public func parameter(_ shape: [Int], reference: Double) -> Int {
        let count: Int = shape.reduce(1, *)
        return min(count, max(1, Int((reference * Double(count)).rounded())))
    }

    /// Fifteen densities from a tenth of the reference's to ten times it, evenly on a logarithmic scale; those that give the same number once.
    public func candidates(_ shape: [Int], reference: Double) -> [Int] {
        let all: [Int] = (-7...7).map { parameter(shape, reference: reference * pow(10, Double($0) / 7)) }
        return Set(all).sorted()
    }

    public func size(_ shape: [Int], _ parameter: Int) -> Int { 8 * parameter }

    public func errorTable(_ gradient: Tensor, _ candidates: [Int]) -> [Double] {
        noGrad {
            // From the least element on, so that the error of a large k is no difference of large numbers.
            let squares: Tensor = gradient.detached().asType(.float64).flattened().square().sorted().values.cumulativeSum(axis: 0)
            let sums: [Double] = squares.array(Double.self)
            return candidates.map { $0 >= sums.count ? 0 : sums[sums.count - 1 - $0].squareRoot() }
        }
    }

    public func exchange(_ inputs: [Tensor], _ parameters: [Int], over group: ProcessGroup) throws -> CompressedExchange {
        try noGrad {
            let messages: [Tensor] = zip(inputs, parameters).map { compress($0, count: $1) }
            let ranks: [[Tensor]] = try GatheredMessages.exchange(messages, over: group)
            let sent: [Tensor] = inputs.indices.map { decompress([messages[$0]], shape: inputs[$0].shape, count: parameters[$0]) }
            let means: [Tensor] = inputs.indices.map { layer in
                let all: [Tensor] = ranks.map { $0[layer] }
                return decompress(all, shape: inputs[layer].shape, count: parameters[layer]) / Double(group.worldSize)
            }
            return CompressedExchange(sent: sent, means: means)
        }
    }

    /// The message of a gradient: values, then places.
    public func compress(_ gradient: Tensor, count: Int) -> Tensor {
        noGrad {
            let flat: Tensor = gradient.detached().asType(.float32).flattened()
            precondition((1...flat.count).contains(count), "\(count) of \(flat.count) elements")
            let places: Tensor = flat.abs().topK(count).indices
            let values: Tensor = flat.gather(axis: 0, indices: places)
            return concatenated([GatheredMessages.bytes(values), GatheredMessages.bytes(places.asType(.int32))])
        }
    }

    /// The sum of the gradients that messages stand for.
    public func decompress(_ messages: [Tensor], shape: [Int], count: Int) -> Tensor {
        noGrad {
            let sum: Tensor = Tensor.zeros([shape.reduce(1, *)], dtype: .float32, device: .cpu)
            for message in messages {
                let values: Tensor = GatheredMessages.elements(message, from: 0, count: count, as: .float32)
                let places: Tensor = GatheredMessages.elements(message, from: 4 * count, count: count, as: .int32).asType(.int64)
                sum.scatterAdd_(axis: 0, indices: places, source: values)
            }
            return sum.reshaped(shape)
        }
    }
}
