import NN
import Torch

/// A big and a small gated feed-forward side by side, of which a token takes one, or none where that is allowed (Alizadeh et al., 2024, *Duo-LLM: A
/// Framework for Studying Adaptive Computation in Large Language Models*).
public final class DuoFFN: Module, UnaryLayer {
    @ModuleInfo public var big: SwiGLU
    @ModuleInfo public var small: SwiGLU
    /// Whether a token may pass the layer by.
    public let allowSkip: Bool

    /// - Parameters:
    ///   - dims: D of input and output.
    ///   - bigHidden: width inside the big module.
    ///   - smallHidden: width inside the small one.
    ///   - allowSkip: whether a token may pass the layer by.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dims: Int, bigHidden: Int, smallHidden: Int, allowSkip: Bool = false, generator: RandomGenerator? = nil) {
        self.allowSkip = allowSkip
        super.init()
        big = SwiGLU(dims, bigHidden, generator: generator)
        small = SwiGLU(dims, smallHidden, generator: generator)
    }

    /// What a token may take, in the order of a router's outputs.
    public var modules: [DuoModule] { allowSkip ? DuoModule.allCases : [.small, .big] }

    /// The big module for all.
    public func callAsFunction(_ x: Tensor) -> Tensor { big(x) }

    /// One module for all, `[..., D]` to the same.
    public func callAsFunction(_ x: Tensor, module: DuoModule) -> Tensor {
        switch module {
        case .skip: x.zerosLike()
        case .small: small(x)
        case .big: big(x)
        }
    }

    /// Each token through its module: the tokens of a module are gathered, and its outputs scattered back.
    /// - Parameters:
    ///   - x: `[..., D]`.
    ///   - choices: `[...]`, raw values of ``DuoModule`` (int64).
    public func callAsFunction(_ x: Tensor, choices: Tensor) -> Tensor {
        precondition(choices.shape == Array(x.shape.dropLast()), "choices of shape \(choices.shape) for \(x.shape)")
        let (flat, chosen): (Tensor, Tensor) = (x.reshaped(-1, x.dim(-1)), choices.flattened())
        var output: Tensor = flat.zerosLike()
        for module in [DuoModule.small, .big] {
            let places: Tensor = (chosen .== module.rawValue).nonzero().flattened()
            if places.count == 0 { continue }
            output = output.indexAdd(axis: 0, indices: places, source: self(flat.indexSelect(axis: 0, indices: places), module: module))
        }
        return output.reshaped(x.shape)
    }

    /// As ``callAsFunction(_:choices:)``, with every module computed for every token: the reference of the gathered form.
    public func dense(_ x: Tensor, choices: Tensor) -> Tensor {
        func chosen(_ module: DuoModule) -> Tensor {
            (choices .== module.rawValue).asType(x.dtype).expandedDimensions(axis: -1) * self(x, module: module)
        }
        return chosen(.small) + chosen(.big)
    }

    /// All modules weighted, `[..., D]`.
    /// - Parameters:
    ///   - x: `[..., D]`.
    ///   - weights: `[..., modules]`, in the order of ``modules``.
    public func mixed(_ x: Tensor, weights: Tensor) -> Tensor {
        func share(_ module: DuoModule) -> Tensor {
            let place: Int = modules.firstIndex(of: module) ?? 0
            return weights.narrowed(axis: -1, start: place, length: 1) * self(x, module: module)
        }
        return share(.small) + share(.big)
    }
}
