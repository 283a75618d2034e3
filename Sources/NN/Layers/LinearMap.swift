import Torch

/// What can stand where a ``Linear`` stands: an affine map from `[..., inputDimensions]` to `[..., outputDimensions]`, however its matrix is kept.
///
/// Layers that a user may compress hold `any LinearMap` in a ``ModuleInfo`` property, so that ``Module/replaceModule(at:with:)`` can put factors,
/// packed codes or tables in the place of a dense matrix.
public protocol LinearMap: UnaryLayer {
    var inputDimensions: Int { get }
    var outputDimensions: Int { get }
    /// `[outputDimensions]`
    var bias: Tensor? { get }

    /// The matrix that the layer multiplies by, `[outputDimensions, inputDimensions]`. Made anew at each call where it is not stored like that.
    func denseWeight() -> Tensor

    /// Multiply-accumulates of one input vector.
    var multiplyAccumulates: Int { get }
}

extension LinearMap {
    public var multiplyAccumulates: Int { inputDimensions * outputDimensions }
}

extension Linear: LinearMap {
    public func denseWeight() -> Tensor { weight }
}

extension Module {
    /// The linear maps of this module by dotted path, without those that another linear map is made of.
    public var linearMaps: [(path: String, layer: any LinearMap)] {
        var found: [(path: String, layer: any LinearMap)] = []
        var outer: String?
        for (path, module) in namedModules() {
            if let outer, outer.isEmpty || path.hasPrefix("\(outer).") { continue }
            guard let layer = module as? any LinearMap else { continue }
            found.append((path, layer))
            outer = path
        }
        return found
    }
}
