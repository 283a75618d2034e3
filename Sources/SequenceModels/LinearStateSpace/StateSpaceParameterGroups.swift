import NN
import Optim
import Torch

extension [ParameterGroup] {
    /// The groups that state-space models are trained with: A and the steps Δ of every ``StateTransition`` at learning rates of their own
    /// and without weight decay, the rest as `decayingMatricesOnly(_:)` has it (arXiv 2110.13985, appendix E). The decays of a
    /// ``SelectiveSSM`` are without weight decay too.
    /// - Parameters:
    ///   - model: frozen parameters are left out.
    ///   - matrixRate: learning rate of the structured A.
    ///   - stepRate: learning rate of log Δ.
    public static func stateSpace(_ model: Module, matrixRate: Double = 1e-4, stepRate: Double = 1e-3) -> [ParameterGroup] {
        var steps: Set<ObjectIdentifier> = []
        var matrices: Set<ObjectIdentifier> = []
        for case let (_, transition as StateTransition) in model.namedModules() {
            for (name, tensor) in transition.namedParameters() {
                if name == StateTransition.logStepName {
                    steps.insert(ObjectIdentifier(tensor))
                } else {
                    matrices.insert(ObjectIdentifier(tensor))
                }
            }
        }
        var decays: Set<ObjectIdentifier> = []
        for case let (_, mixer as SelectiveSSM) in model.namedModules() { decays.insert(ObjectIdentifier(mixer.decayLogarithm)) }
        let trained: [(name: String, tensor: Tensor)] = model.namedParameters().filter { $0.tensor.requiresGrad }
        func group(_ members: Set<ObjectIdentifier>, _ rate: Double? = nil) -> ParameterGroup {
            let chosen: [(name: String, tensor: Tensor)] = trained.filter { members.contains(ObjectIdentifier($0.tensor)) }
            return ParameterGroup(parameters: chosen.map(\.tensor), names: chosen.map(\.name), learningRate: rate, weightDecay: 0)
        }
        let special: Set<ObjectIdentifier> = steps.union(matrices).union(decays)
        let others: [(name: String, tensor: Tensor)] = trained.filter { !special.contains(ObjectIdentifier($0.tensor)) }
        return (decayingMatricesOnly(others) + [group(matrices, matrixRate), group(steps, stepRate), group(decays)])
            .filter { !$0.parameters.isEmpty }
    }
}
