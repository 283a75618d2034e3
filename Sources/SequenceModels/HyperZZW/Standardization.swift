import NN
import Torch

extension Tensor {
    /// Mean 0 and variance 1 for each channel of each image of `[B, C, H, W]`, without weights.
    func instanceStandardized() -> Tensor {
        let flat: Tensor = reshaped(1, dim(0) * dim(1), dim(2), dim(3))
        return batchNorm(flat, weight: nil, bias: nil, runningMean: nil, runningVariance: nil, training: true).reshaped(shape)
    }
}

/// What a layer of ``Terminator`` takes in evaluation where training takes a mean over the batch.
public enum ContextStatistics: String, Codable, Sendable, CaseIterable {
    /// The batch at hand, as in the paper. An image's prediction then depends on the other images of its batch.
    case batch
    /// Averages kept from training, so that predictions do not depend on the batch. (The paper has none.)
    case running

    /// Standardisation of the channels over a batch, without weights.
    func standardization(channels: Int) -> BatchNorm { BatchNorm(channels, affine: false, tracksStatistics: self == .running) }
}

/// Standardisation of images in groups of channels: in each group the first half by the statistics of the channel in its image, the second by
/// those of the channel in the batch (G-IBS, arXiv 2401.17948, section 3.5).
///
/// The paper does not say which channels are which; halves within groups are our choice. Where a group has an odd number, its first half is the
/// larger one in every other group.
public final class GroupInstanceBatchStandardization: Module, UnaryLayer {
    @ModuleInfo(key: "batch_std") public var batch: BatchNorm
    /// The channels that each image standardises by itself, and those that the batch does.
    let instanceChannels: [Int]
    let batchChannels: [Int]

    /// - Parameters:
    ///   - channels: of the images; traps unless the groups divide them, and there are two channels at least.
    ///   - groups: 12 in the paper.
    ///   - statistics: of the batch, in evaluation.
    public init(_ channels: Int, groups: Int = 12, statistics: ContextStatistics = .batch) {
        precondition(
            groups > 0 && channels > 1 && channels % groups == 0,
            "\(channels) channels, at least 2, have to divide into \(groups) groups")
        let size: Int = channels / groups
        let isInstance: [Bool] = (0..<channels).map { $0 % size < (size + ($0 / size + 1) % 2) / 2 }
        instanceChannels = isInstance.indices.filter { isInstance[$0] }
        batchChannels = isInstance.indices.filter { !isInstance[$0] }
        super.init()
        batch = statistics.standardization(channels: batchChannels.count)
    }

    /// `[B, C, H, W]` to the same.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let order: [Int] = instanceChannels + batchChannels
        let places: [Int] = order.indices.sorted { order[$0] < order[$1] }
        let halves: [Tensor] = [instanceChannels, batchChannels].map {
            x.indexSelect(axis: 1, indices: Tensor($0, device: x.device))
        }
        return concatenated([halves[0].instanceStandardized(), batch(halves[1])], axis: 1)
            .indexSelect(axis: 1, indices: Tensor(places, device: x.device))
    }
}
