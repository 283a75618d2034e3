import NN
import SequenceModels
import Torch

/// A layer that is no `LinearMap` and yet stands for one: lookups in tables, random features. ``CostModel`` counts what it says.
public protocol CostedLayer: Module {
    /// Multiply-accumulates of one input vector, without those of the layers below.
    var multiplyAccumulates: Int { get }
}

/// What a model costs, counted from its shapes and not measured: the one accounting of the library, so that methods are comparable.
public struct CostModel: Sendable, Equatable {
    /// Multiply-accumulates of every `LinearMap` and ``CostedLayer`` for one token; what a linear map is made of is not counted again.
    public var linearMultiplyAccumulates: Int
    /// Elements of all parameters.
    public var parameters: Int
    /// Bytes of parameters and buffers as they are kept in memory.
    public var bytes: Int

    /// Counts the layers below a module. A layer that stands in several places is counted in each.
    public init(of model: Module) {
        let others: [any CostedLayer] = model.namedModules().compactMap { $0.module as? any CostedLayer }
        linearMultiplyAccumulates =
            model.linearMaps.reduce(0) { $0 + $1.layer.multiplyAccumulates } + others.reduce(0) { $0 + $1.multiplyAccumulates }
        parameters = model.parameterCount
        bytes = model.stateTensors().reduce(0) { $0 + $1.1.byteCount }
    }

    /// Multiply-accumulates of causal softmax attention over a whole text, in one layer: scores and weighted sums of T (T + 1) / 2 pairs.
    /// - Parameters:
    ///   - length: T.
    ///   - dimensions: channels of all heads together.
    public static func causalAttention(length: Int, dimensions: Int) -> Int { length * (length + 1) * dimensions }
}
