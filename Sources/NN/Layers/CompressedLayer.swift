import Torch

/// A layer that stands in the place of a larger one, and that a model's folder describes so that it can be made again.
///
/// To add a kind, conform to this protocol, hold the values in parameters or buffers, and list the type in `CompressedLayerKinds.all`. A layer that
/// has a matrix is a ``LinearMap`` as well; then it can be multiplied out to a dense one.
public protocol CompressedLayer: Module {
    /// What is needed beside the dense layer's own shape to make the layer, such as a rank or bits.
    associatedtype Configuration: Codable & Sendable

    /// Its name in descriptions, such as `low_rank`.
    static var kind: String { get }

    var configuration: Configuration { get }

    /// The layer without its values, which a checkpoint then fills.
    /// - Parameters:
    ///   - configuration: read from a file, so it may be nonsense.
    ///   - dense: what stands in its place in a model of the same shape that is not compressed.
    /// - Throws: `ConfigurationError` where the two do not fit.
    static func empty(_ configuration: Configuration, replacing dense: Module) throws -> Self
}

extension Module {
    /// The compressed layers below this module by dotted path, outer ones before those inside them.
    public var compressedLayers: [(path: String, layer: any CompressedLayer)] {
        namedModules().compactMap { path, module in (module as? any CompressedLayer).map { (path, $0) } }
    }

    /// The module with a dotted path, or nil.
    public func module(at path: String) -> Module? { namedModules().first { $0.name == path }?.module }
}
