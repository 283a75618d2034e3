import NN
import Torch
import Training

/// What the federated and the private pipeline train: an MLP on digits.
struct DigitBatch {
    /// `[B, 196]`
    let images: Tensor
    /// `[B]`
    let labels: Tensor
}

struct LabelledDigit: Sendable {
    let pixels: [Float]
    let label: Int64

    static func all(_ images: LabelledImages, limit: Int) -> [LabelledDigit] {
        (0..<min(limit, images.count)).map { LabelledDigit(pixels: images.image($0, resizedTo: 14), label: Int64(images.labels[$0])) }
    }
}

extension DigitBatch {
    static func collate(_ digits: [LabelledDigit]) -> DigitBatch {
        DigitBatch(
            images: Tensor(digits.flatMap(\.pixels), [digits.count, 196]),
            labels: Tensor(digits.map(\.label), [digits.count], dtype: .int64))
    }

    static func loss(_ model: MLP, _ batch: DigitBatch, _ training: Bool, _ random: RandomGenerator) -> Tensor {
        crossEntropy(model(batch.images), batch.labels)
    }

    static func predict(_ model: MLP, _ batch: DigitBatch, _ random: RandomGenerator) -> [Int64] {
        model(batch.images).argMax(axis: 1).array(Int64.self)
    }

    static func model(seed: UInt64) -> MLP { MLP([196, 32, 10], generator: RandomGenerator(seed: seed, device: .cpu)) }
}
