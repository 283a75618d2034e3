import Optim
import Torch

/// Optimizers on a quadratic: every step's parameters, gradients and loss, and the state after the last.
let optimizerOperators: [FixtureOperator] = [
    optimizer("optim_adamw") { inputs in
        .adamw(try AdamWConfiguration(learningRate: 0.05, weightDecay: try weightDecay(inputs, prefix: "wd")))
    },
    optimizer("optim_adamw_amsgrad") { inputs in
        .adamw(
            try AdamWConfiguration(
                learningRate: 0.05, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: try weightDecay(inputs, prefix: "wd"),
                amsgrad: true))
    },
    optimizer("optim_adam_l2") { _ in .adam(try AdamConfiguration(learningRate: 0.05, beta2: 0.99, weightDecay: 0.01)) },
    optimizer("optim_sgd_nesterov") { _ in
        .sgd(try SGDConfiguration(learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.001))
    },
    optimizer("optim_sgd_momentum_damp") { _ in .sgd(try SGDConfiguration(learningRate: 0.05, momentum: 0.9, dampening: 0.1)) },
    optimizer("optim_rmsprop_centered_off") { _ in .rmsprop(try RMSpropConfiguration(learningRate: 0.01, alpha: 0.95, momentum: 0.5)) },
    optimizer("optim_adagrad") { _ in .adagrad(try AdagradConfiguration(learningRate: 0.1)) },
]

private func optimizer(
    _ name: String, _ configuration: @escaping @Sendable (FixtureInputs) throws -> OptimizerConfiguration
) -> FixtureOperator {
    .plain(name) { inputs in try descend(inputs, by: try configuration(inputs)) }
}

/// The weight decay that the fixture's name ends in (`wd0.01`).
private func weightDecay(_ inputs: FixtureInputs, prefix: String) throws -> Double {
    guard inputs.variant.hasPrefix(prefix), let value = Double(inputs.variant.dropFirst(prefix.count)) else {
        throw FixtureError("no weight decay in the name's \"\(inputs.variant)\"; it has to read \(prefix) and a number")
    }
    return value
}

/// As many steps as the file has gradients, on the sum over parameters of `1/2 <p - target, H (p - target)>`.
private func descend(_ inputs: FixtureInputs, by configuration: OptimizerConfiguration) throws -> [String: Tensor] {
    let names: [String] = inputs.names("traj")
    let parameters: [Tensor] = try names.map { try inputs.tensor("\($0).init").cloned() }
    let group: ParameterGroup = ParameterGroup(parameters: parameters, names: names)
    let optimizer: any Optimizer = try configuration.makeOptimizer(groups: [group])
    let steps: Int = try inputs.shape("grads.\(names[0])")[0]
    var losses: [Tensor] = []
    var trajectory: [[Tensor]] = []
    var used: [[Tensor]] = []
    for step in 0...steps {
        let offsets: [Tensor] = try zip(names, parameters).map { $1 - (try inputs.tensor("\($0).target")) }
        let slopes: [Tensor] = try zip(names, offsets).map { (try inputs.tensor("\($0).H")).matmul($1) }
        losses.append(zip(offsets, slopes).map { ($0 * $1).sum() * 0.5 }.reduce(Tensor.zeros([], dtype: inputs.dtype, device: .cpu), +))
        trajectory.append(parameters.map { $0.cloned() })
        if step == steps { break }
        used.append(slopes)
        optimizer.step(slopes)
    }
    var results: [String: Tensor] = ["out.loss": stacked(losses)]
    for (index, name) in names.enumerated() {
        results["traj.\(name)"] = stacked(trajectory.map { $0[index] })
        results["grads.\(name)"] = stacked(used.map { $0[index] })
    }
    for (name, tensor) in optimizer.stateTensors() { results["out.\(name)"] = tensor }
    return results
}
