import NN
import Torch

extension LowRankLinear: CompressedLayer {
    public static let kind: String = "low_rank"

    /// What a folder says beside the dense layer's shape.
    public struct Configuration: Codable, Sendable, Equatable {
        public var rank: Int

        public init(rank: Int) { self.rank = rank }
    }

    public var configuration: Configuration { Configuration(rank: rank) }

    public static func empty(_ configuration: Configuration, replacing dense: Module) throws -> LowRankLinear {
        guard let map = dense as? any LinearMap else { throw ConfigurationError("factors stand in the place of a linear layer only") }
        let full: Int = min(map.inputDimensions, map.outputDimensions)
        guard (0...full).contains(configuration.rank) else {
            throw ConfigurationError("rank is \(configuration.rank); it has to lie in 0 ... \(full)")
        }
        let like: Tensor = map.denseWeight()
        return LowRankLinear(
            left: .zeros([map.outputDimensions, configuration.rank], dtype: like.dtype, device: like.device),
            right: .zeros([configuration.rank, map.inputDimensions], dtype: like.dtype, device: like.device), bias: map.bias?.zerosLike())
    }
}
