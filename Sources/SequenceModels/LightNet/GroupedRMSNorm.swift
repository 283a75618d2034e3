import NN
import Torch

/// Root mean square normalisation of each of several equal groups of channels, then one weight for each channel: `[..., D]` to the same.
/// One group is `RMSNorm`; as many as there are heads normalises each head.
public final class GroupedRMSNorm: Module, UnaryLayer {
    /// `[D]`, ones at the start.
    public let weight: Tensor
    public let groups: Int
    public let eps: Double

    /// Traps unless the channels divide into the groups.
    public init(_ dimensions: Int, groups: Int = 1, eps: Double = 1e-5) {
        precondition(groups > 0 && dimensions % groups == 0, "\(dimensions) channels do not divide into \(groups) groups")
        weight = .ones([dimensions])
        self.groups = groups
        self.eps = eps
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        if groups == 1 { return x.rmsNormalized(weight: weight, eps: eps) }
        let shape: [Int] = x.shape
        return x.reshaped(shape.dropLast() + [groups, -1]).rmsNormalized(eps: eps).reshaped(shape) * weight
    }
}
