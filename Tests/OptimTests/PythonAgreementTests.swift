import Optim
import TestSupport
import Testing
import Torch

/// Optimizers against torch's own or, where torch has none, the published formulas in NumPy; 12 steps in float64.
@Suite(.enabled(if: PythonPeer.has("torch", "numpy"), "no Python with torch and numpy: set LINNET_PYTHON"))
struct PythonAgreementTests {
    private static let steps: Int = 12

    private func expectAgreement(_ configuration: OptimizerConfiguration, _ python: String) throws {
        let problem: ToyProblem = ToyProblem()
        let start: [Double] = elements(problem.parameters)
        problem.train(try configuration.makeOptimizer(groups: [ParameterGroup(parameters: problem.parameters)]), steps: 0..<Self.steps)
        let found: [Double] = elements(problem.parameters)
        let wanted: [Double] = try pythonNumbers(
            "\(pythonToyProblem)\nsteps = \(Self.steps)\n\(python)\nresult = [x for p in ps for x in p.detach().flatten().tolist()]")
        #expect(largestDifference(found, wanted) < 1e-10)
        #expect(largestDifference(found, start) > 1e-5)
    }

    private func expectTorch(_ configuration: OptimizerConfiguration, _ constructor: String) throws {
        try expectAgreement(
            configuration,
            """
            optimizer = torch.optim.\(constructor)
            for step in range(steps):
                for p, g in zip(ps, grads(step)): p.grad = g
                optimizer.step()
            """)
    }

    @Test func rulesThatTorchHas() throws {
        try expectTorch(
            .sgd(SGDConfiguration(learningRate: 0.1, momentum: 0.7, dampening: 0.3, weightDecay: 0.1)),
            "SGD(ps, lr=.1, momentum=.7, dampening=.3, weight_decay=.1)")
        try expectTorch(.sgd(SGDConfiguration(learningRate: 0.1, weightDecay: 0.1)), "SGD(ps, lr=.1, weight_decay=.1)")
        try expectTorch(
            .adam(AdamConfiguration(learningRate: 0.1, weightDecay: 0.2, amsgrad: true)), "Adam(ps, lr=.1, weight_decay=.2, amsgrad=True)")
        try expectTorch(.adamw(AdamWConfiguration()), "AdamW(ps)")
        try expectTorch(
            .rmsprop(RMSpropConfiguration(momentum: 0.5, centered: true, weightDecay: 0.1)),
            "RMSprop(ps, momentum=.5, centered=True, weight_decay=.1)")
        try expectTorch(.rmsprop(RMSpropConfiguration()), "RMSprop(ps)")
        try expectTorch(
            .adagrad(AdagradConfiguration(learningRateDecay: 0.1, weightDecay: 0.1, initialAccumulator: 0.2)),
            "Adagrad(ps, lr_decay=.1, weight_decay=.1, initial_accumulator_value=.2)")
        try expectTorch(.adafactor(AdafactorConfiguration()), "Adafactor(ps)")
        try expectTorch(
            .adafactor(AdafactorConfiguration(learningRate: 0.3, clippingThreshold: 1.5, decayExponent: 0.5)),
            "Adafactor(ps, lr=.3, d=1.5, beta2_decay=-.5)")
    }

    /// The paper's algorithms 4 and 5, with the first moment, fixed steps and the decay as Hugging Face has them.
    @Test(arguments: [true, false]) func adafactorWithMomentumAndDecay(relative: Bool) throws {
        try expectAgreement(
            .adafactor(
                AdafactorConfiguration(
                    learningRate: 0.02, relativeStep: relative, warmUp: relative, scalesByParameter: relative, epsilon1: 1e-3, beta1: 0.8,
                    weightDecay: 0.1)),
            """
            relative = \(relative ? "True" : "False")
            states = [{} for _ in ps]
            def rms(x): return math.sqrt(float((x * x).mean()))
            for t in range(1, steps + 1):
                beta2 = 1 - t ** -.8
                for p, g, s in zip(ps, grads(t - 1), states):
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

    @Test func lion() throws {
        try expectAgreement(
            .lion(LionConfiguration(learningRate: 0.01, beta1: 0.85, beta2: 0.95, weightDecay: 0.3)),
            """
            ms = [np.zeros(tuple(p.shape)) for p in ps]
            for step in range(steps):
                for p, g, m in zip(ps, grads(step), ms):
                    g, value = g.numpy(), p.numpy()
                    c = .85 * m + (1 - .85) * g
                    value -= .01 * (np.sign(c) + .3 * value)
                    m[...] = .95 * m + (1 - .95) * g
            """)
    }
}
