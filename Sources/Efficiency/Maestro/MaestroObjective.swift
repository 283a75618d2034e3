import NN
import Torch

/// What a decomposed classifier or language model is trained by (arXiv 2308.14929, section 4):
/// `CE(f(x), y) + CE(f_width(x), softmax f(x)) + λ · lasso`, the full pass teaching the narrower one without being changed by it.
public struct MaestroObjective: Codable, Sendable, Equatable {
    /// λ of ``Maestro/hierarchicalGroupLasso(_:)``.
    public var lassoWeight: Double
    /// Without it the narrow pass alone is trained, on the targets: `CE(f_width(x), y) + λ · lasso`, for half of the time.
    public var hasFullPass: Bool

    /// - Throws: `ConfigurationError` for a negative or infinite weight.
    public init(lassoWeight: Double, hasFullPass: Bool = true) throws {
        self.lassoWeight = lassoWeight
        self.hasFullPass = hasFullPass
        if !(lassoWeight >= 0 && lassoWeight.isFinite) {
            throw ConfigurationError("lassoWeight is \(lassoWeight); it has to be at least 0")
        }
    }

    /// - Parameters:
    ///   - model: with decomposed layers.
    ///   - width: of the narrow pass, from an ``OrderedDropoutSampler``.
    ///   - targets: classes `[N]`.
    ///   - logits: calls the model, `[N, classes]`.
    /// - Returns: a scalar.
    public func callAsFunction(_ model: Module, width: OrderedWidth, targets: Tensor, logits: () -> Tensor) -> Tensor {
        let lasso: Tensor? = lassoWeight > 0 ? Maestro.hierarchicalGroupLasso(model) * lassoWeight : nil
        guard hasFullPass else { return Maestro.with(width, in: model) { crossEntropy(logits(), targets) }.adding(lasso) }
        let full: Tensor = logits()
        let narrow: Tensor = Maestro.with(width, in: model, logits)
        return (crossEntropy(full, targets) + crossEntropy(narrow, full.detached().softmax())).adding(lasso)
    }
}
