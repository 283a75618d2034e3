import Optim
import Torch

/// Optimizers on a quadratic. Settings that the file's tensors cannot tell are those of the fixtures' description; the weight decay of
/// AdamW stands in the file's name.
let optimizerOperators: [FixtureOperator] = [
    descent("optim_adamw") { variant in
        let decay: Double = try weightDecay(in: variant)
        guard variant.hasPrefix("amsgrad") else { return try AdamWConfiguration(learningRate: 0.05, weightDecay: decay) }
        return try AdamWConfiguration(learningRate: 0.05, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: decay, amsgrad: true)
    },
    descent("optim_adam_l2") { _ in try AdamConfiguration(learningRate: 0.05, beta1: 0.9, beta2: 0.99, weightDecay: 0.01) },
    descent("optim_sgd_nesterov") { _ in try SGDConfiguration(learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.001) },
    descent("optim_sgd_momentum_damp") { _ in try SGDConfiguration(learningRate: 0.05, momentum: 0.9, dampening: 0.1) },
    descent("optim_rmsprop") { _ in try RMSpropConfiguration(learningRate: 0.01, alpha: 0.95, epsilon: 1e-8, momentum: 0.5) },
    descent("optim_adagrad") { _ in try AdagradConfiguration(learningRate: 0.1, epsilon: 1e-10) },
    .plain("optim_galore") { try GaLoreDescent($0).run() },
    adaptedDescent("optim_lamb") { variant in
        let isPlain: Bool = variant.hasPrefix("nocorrect")
        return try LAMBConfiguration(
            learningRate: 0.02, highestNorm: isPlain ? 10 : nil, biasCorrection: !isPlain, excludesVectors: false)
    },
    adaptedDescent("optim_lars") { _ in
        try LARSConfiguration(learningRate: 1, weightDecay: 0.0005, trustCoefficient: 0.02, excludesVectors: false)
    },
]

/// The number after `wd`.
func weightDecay(in variant: String) throws -> Double {
    guard let match = variant.firstMatch(of: /wd([0-9.]+)/), let value = Double(match.1) else {
        throw FixtureError("no weight decay such as wd0.01 in the name's end \(variant)")
    }
    return value
}

private func descent<Rule: UpdateRule>(
    _ name: String, _ configuration: @escaping @Sendable (_ variant: String) throws -> Rule
) -> FixtureOperator {
    .plain(name) { inputs in try Descent(inputs).run(try configuration(inputs.variant)) }
}

/// A rule with trust ratios, which the file has as `out.trust_ratio [20, 3]` for W, U and b.
private func adaptedDescent<Rule: UpdateRule>(
    _ name: String, _ configuration: @escaping @Sendable (_ variant: String) throws -> Rule
) -> FixtureOperator {
    .plain(name) { inputs in
        var log: TrustRatioLog = TrustRatioLog()
        var results: [String: Tensor] = try Descent(inputs).run(try configuration(inputs.variant)) { log.record($0) }
        results = results.filter { !$0.key.hasSuffix("trust_ratio") }
        let columns: [Tensor] = ["W", "U", "b"].map { Tensor(log.ratios[$0] ?? [], dtype: .float64, device: .cpu) }
        results["out.trust_ratio"] = stacked(columns, axis: 1).asType(inputs.dtype)
        return results
    }
}

/// The minimisation of `½ Σ ⟨p − target, H (p − target)⟩` that the file describes.
struct Descent {
    let names: [String]
    let parameters: [Tensor]
    let curvatures: [Tensor]
    let targets: [Tensor]
    let steps: Int

    init(_ inputs: FixtureInputs) throws {
        names = inputs.names("in").filter { $0.hasSuffix(".init") }.map { String($0.dropLast(5)) }
        guard let first = names.first else { throw FixtureError("no in.PARAMETER.init in the file") }
        parameters = try names.map { try inputs.tensor("\($0).init").cloned() }
        curvatures = try names.map { try inputs.tensor("\($0).H") }
        targets = try names.map { try inputs.tensor("\($0).target") }
        steps = try inputs.shape("grads.\(first)")[0]
    }

    func run<Rule: UpdateRule>(_ configuration: Rule, afterStep: (FusedOptimizer<Rule>) -> Void = { _ in }) throws -> [String: Tensor] {
        let optimizer: FusedOptimizer<Rule> = try FusedOptimizer(parameters: parameters, names: names, configuration: configuration)
        var trajectory: [[Tensor]] = [parameters.map { $0.cloned() }]
        var used: [[Tensor]] = []
        var losses: [Tensor] = [loss()]
        for _ in 0..<steps {
            let step: [Tensor] = slopes()
            optimizer.step(step)
            afterStep(optimizer)
            used.append(step)
            trajectory.append(parameters.map { $0.cloned() })
            losses.append(loss())
        }
        var results: [String: Tensor] = ["out.loss": stacked(losses)]
        for (index, name) in names.enumerated() {
            results["traj.\(name)"] = stacked(trajectory.map { $0[index] })
            results["grads.\(name)"] = stacked(used.map { $0[index] })
        }
        for (name, tensor) in optimizer.stateTensors() { results["out.\(name)"] = tensor }
        return results
    }

    func slopes() -> [Tensor] { zip(curvatures, zip(parameters, targets)).map { $0.matmul($1.0 - $1.1) } }

    private func loss() -> Tensor {
        zip(slopes(), zip(parameters, targets)).map { ($0 * ($1.0 - $1.1)).sum() * 0.5 }.reduce(
            Tensor(0.0, dtype: targets[0].dtype, device: .cpu), +)
    }
}
