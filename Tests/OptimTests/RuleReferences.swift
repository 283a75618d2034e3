import Optim
import Testing

/// A configuration with Python that puts the parameters after its steps into `result`.
struct RuleReference: Sendable, CustomTestStringConvertible {
    static let steps: Int = 12
    let name: String
    let configuration: OptimizerConfiguration
    let python: String

    var testDescription: String { name }

    init(_ name: String, _ configuration: OptimizerConfiguration, python: String) {
        self.name = name
        self.configuration = configuration
        self.python = "ps = start()\nsteps = \(Self.steps)\n\(python)\nresult = flat(ps)"
    }

    /// One of torch's own optimizers.
    init(torch constructor: String, _ configuration: OptimizerConfiguration) {
        self.init(
            constructor, configuration,
            python: """
                optimizer = torch.optim.\(constructor)
                for step in range(steps):
                    for p, g in zip(ps, grads(ps, step)): p.grad = g
                    optimizer.step()
                """)
    }
}

/// The settings below are valid; a test that uses the list fails where they are not.
let ruleReferences: [RuleReference] =
    (try? torchRules() + [lionReference(), karReference(), adafactorReference(relative: true), adafactorReference(relative: false)]) ?? []

private func torchRules() throws -> [RuleReference] {
    [
        RuleReference(
            torch: "SGD(ps, lr=.1, momentum=.7, dampening=.3, weight_decay=.1)",
            .sgd(try SGDConfiguration(learningRate: 0.1, momentum: 0.7, dampening: 0.3, weightDecay: 0.1))),
        RuleReference(torch: "SGD(ps, lr=.1, weight_decay=.1)", .sgd(try SGDConfiguration(learningRate: 0.1, weightDecay: 0.1))),
        RuleReference(
            torch: "Adam(ps, lr=.1, weight_decay=.2, amsgrad=True)",
            .adam(try AdamConfiguration(learningRate: 0.1, weightDecay: 0.2, amsgrad: true))),
        RuleReference(torch: "AdamW(ps)", .adamw(try AdamWConfiguration())),
        RuleReference(
            torch: "RMSprop(ps, momentum=.5, centered=True, weight_decay=.1)",
            .rmsprop(try RMSpropConfiguration(momentum: 0.5, centered: true, weightDecay: 0.1))),
        RuleReference(torch: "RMSprop(ps)", .rmsprop(try RMSpropConfiguration())),
        RuleReference(
            torch: "Adagrad(ps, lr_decay=.1, weight_decay=.1, initial_accumulator_value=.2)",
            .adagrad(try AdagradConfiguration(learningRateDecay: 0.1, weightDecay: 0.1, initialAccumulator: 0.2))),
        RuleReference(torch: "Adafactor(ps)", .adafactor(try AdafactorConfiguration())),
        RuleReference(
            torch: "Adafactor(ps, lr=.3, d=1.5, beta2_decay=-.5)",
            .adafactor(try AdafactorConfiguration(learningRate: 0.3, clippingThreshold: 1.5, decayExponent: 0.5))),
    ]
}

private func lionReference() throws -> RuleReference {
    RuleReference(
        "lion", .lion(try LionConfiguration(learningRate: 0.01, beta1: 0.85, beta2: 0.95, weightDecay: 0.3)),
        python: """
            ms = [np.zeros(tuple(p.shape)) for p in ps]
            for step in range(steps):
                for p, g, m in zip(ps, grads(ps, step), ms):
                    g, value = g.numpy(), p.numpy()
                    c = .85 * m + (1 - .85) * g
                    value -= .01 * (np.sign(c) + .3 * value)
                    m[...] = .95 * m + (1 - .95) * g
            """)
}

private func karReference() throws -> RuleReference {
    RuleReference(
        "kar3", .kar(try KarConfiguration(learningRate: 0.01, betas: [0.4, 0.9])),
        python: """
            ms = [[np.zeros(tuple(p.shape)) for p in ps] for _ in range(2)]
            for step in range(steps):
                for i, (p, g) in enumerate(zip(ps, grads(ps, step))):
                    g, value = g.numpy(), p.numpy()
                    value -= .01 * (np.sign(g) + np.sign(ms[0][i]) + np.sign(ms[1][i]))
                    for beta, m in zip((.4, .9), ms): m[i] = beta * m[i] + (1 - beta) * g
            """)
}

/// The paper's algorithms 4 and 5, with the first moment, fixed steps and the decay as Hugging Face has them.
private func adafactorReference(relative: Bool) throws -> RuleReference {
    let configuration: AdafactorConfiguration = try AdafactorConfiguration(
        learningRate: 0.02, relativeStep: relative, warmUp: relative, scalesByParameter: relative, epsilon1: 1e-3, beta1: 0.8,
        weightDecay: 0.1)
    return RuleReference(
        relative ? "adafactor relative" : "adafactor fixed", .adafactor(configuration),
        python: """
            relative = \(relative ? "True" : "False")
            states = [{} for _ in ps]
            def rms(x): return math.sqrt(float((x * x).mean()))
            for t in range(1, steps + 1):
                beta2 = 1 - t ** -.8
                for p, g, s in zip(ps, grads(ps, t - 1), states):
                    rho = min(1e-6 * t, .02, 1 / math.sqrt(t)) if relative else .02
                    alpha = rho * (max(1e-3, rms(p)) if relative else 1)
                    q = g * g + 1e-3
                    if g.ndim > 1:
                        s["r"] = beta2 * s.get("r", 0) + (1 - beta2) * q.sum(-1)
                        s["c"] = beta2 * s.get("c", 0) + (1 - beta2) * q.sum(-2)
                        v = s["r"][..., :, None] * s["c"][..., None, :] / s["r"].sum(-1)[..., None, None]
                    else:
                        v = s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * q
                    u = g / torch.sqrt(v)
                    u = u / max(1, rms(u)) * alpha
                    u = s["m"] = .8 * s.get("m", 0) + .2 * u
                    p.sub_(p * alpha * .1 + u)
            """)
}
