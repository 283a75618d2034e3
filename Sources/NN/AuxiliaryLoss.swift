import Torch

/// A module that adds a term of its own to the loss it is trained by, such as the load balance of a router.
///
/// The module keeps what its term needs from its newest call; whoever computes the loss asks the model for all of them with
/// ``Module/takeAuxiliaryLoss()``. Losses of language models and classifiers do.
public protocol HasAuxiliaryLoss: Module {
    /// The joint term of all modules of this type in a model, weighted, from the newest call of each; it is then forgotten, and with it the
    /// graph it holds.
    /// - Returns: a scalar; nil where none was called, and for modules that are not being trained.
    static func takeAuxiliaryLoss(of modules: [Self]) -> Tensor?
}

extension Module {
    /// The sum of the auxiliary losses of this module and all below, each taken once; nil where there is none.
    public func takeAuxiliaryLoss() -> Tensor? {
        let found: [any HasAuxiliaryLoss] = namedModules().compactMap { $0.module as? any HasAuxiliaryLoss }
        var terms: [Tensor] = []
        var seen: Set<ObjectIdentifier> = []
        for module in found where seen.insert(ObjectIdentifier(type(of: module))).inserted {
            if let term = Self.jointTerm(module, among: found) { terms.append(term) }
        }
        guard let first = terms.first else { return nil }
        return terms.dropFirst().reduce(first, +)
    }

    private static func jointTerm<Kind: HasAuxiliaryLoss>(_: Kind, among modules: [any HasAuxiliaryLoss]) -> Tensor? {
        Kind.takeAuxiliaryLoss(of: modules.compactMap { $0 as? Kind })
    }
}

extension Tensor {
    /// Plus an auxiliary loss, where there is one.
    public func adding(_ auxiliary: Tensor?) -> Tensor { auxiliary.map { self + $0 } ?? self }
}
