import NN
import Torch

/// One layer or function of Linnet's that has to equal torch's on the reference's inputs.
struct ParityCase: Sendable, CustomStringConvertible {
    let name: String
    let training: Bool
    /// Makes the layer and the function that runs it on the inputs; without a layer only the function.
    let make: @Sendable () -> (model: Module?, run: ([Tensor]) -> [Tensor])
    /// Linnet's parameters out of torch's, where names differ.
    let translate: @Sendable ([String: Tensor]) -> [String: Tensor]

    var description: String { name }

    /// A layer of one input, with torch's own parameter names unless `translate` says otherwise.
    static func layer(
        _ name: String, training: Bool = true, translate: @escaping @Sendable ([String: Tensor]) -> [String: Tensor] = { $0 },
        _ make: @escaping @Sendable () -> any UnaryLayer
    ) -> ParityCase {
        ParityCase(
            name: name, training: training,
            make: {
                let layer: any UnaryLayer = make()
                return (layer, { [layer($0[0])] })
            }, translate: translate)
    }

    /// A layer with its own way of being called.
    static func module<Layer: Module>(
        _ name: String, training: Bool = true, _ make: @escaping @Sendable () -> Layer,
        run: @escaping @Sendable (Layer, [Tensor]) -> [Tensor]
    ) -> ParityCase {
        ParityCase(
            name: name, training: training,
            make: {
                let layer: Layer = make()
                return (layer, { run(layer, $0) })
            }, translate: { $0 })
    }

    static func function(_ name: String, _ function: @escaping @Sendable ([Tensor]) -> Tensor) -> ParityCase {
        ParityCase(name: name, training: true, make: { (nil, { [function($0)] }) }, translate: { $0 })
    }
}
