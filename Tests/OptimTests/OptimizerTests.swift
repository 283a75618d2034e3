import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct OptimizerTests {
    private func tensor(_ elements: [Double], dtype: DType = .float64) -> Tensor { Tensor(elements, dtype: dtype, device: .cpu) }

    @Test func groupsHaveTheirOwnRatesAndDecay() throws {
        let parameters: [Tensor] = (0..<4).map { _ in tensor([1, -2]) }
        let groups: [ParameterGroup] = [
            ParameterGroup(parameters: [parameters[0]]), ParameterGroup(parameters: [parameters[1]], learningRateMultiplier: 3),
            ParameterGroup(parameters: [parameters[2]], learningRate: 0.01, learningRateMultiplier: 2),
            ParameterGroup(parameters: [parameters[3]], weightDecay: 0),
        ]
        let optimizer: SGD = try SGD(groups: groups, configuration: SGDConfiguration(learningRate: 0.1, weightDecay: 0.5))
        optimizer.learningRate = 0.2
        optimizer.step(parameters.map { $0.onesLike() }, learningRateFactor: 0.5)
        let rates: [Double] = [0.1, 0.3, 0.01, 0.1]
        let decays: [Double] = [0.5, 0.5, 0.5, 0]
        for index in parameters.indices {
            let wanted: [Double] = [1, -2].map { $0 - rates[index] * (1 + decays[index] * $0) }
            #expect(largestDifference(parameters[index].array(), wanted) < 1e-15)
        }
        optimizer.parameterGroups[3].learningRateMultiplier = 0
        let before: [Double] = parameters[3].array()
        optimizer.step(parameters.map { $0.onesLike() })
        #expect(parameters[3].array() == before)
        #expect(parameters[0].array(Double.self)[0] != 1 - 0.1 * 1.5)
    }

    @Test func vectorsAreNotDecayedByTheCommonSplit() throws {
        let matrix: Tensor = Tensor.ones([2, 2], device: .cpu), bias: Tensor = Tensor.ones([2], device: .cpu)
        let groups: [ParameterGroup] = .decayingMatricesOnly([("w", matrix), ("b", bias)])
        let optimizer: AdamW = try AdamW(groups: groups, configuration: AdamWConfiguration(learningRate: 0.1, weightDecay: 0.5))
        optimizer.step([matrix.zerosLike(), bias.zerosLike()])
        #expect(largestDifference(matrix.array(), [0.95, 0.95, 0.95, 0.95]) < 1e-6)
        #expect(bias.array(Double.self) == [1, 1])
    }

    /// A parameter that misses steps behaves as if those steps were not there.
    @Test(arguments: everyOptimizer) func nilGradientsLeaveAParameterAlone(_ configuration: OptimizerConfiguration) throws {
        let together: ToyProblem = ToyProblem()
        let optimizer: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: together.parameters)])
        let alone: ToyProblem = ToyProblem()
        let single: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: [alone.parameters[1]])])
        for step in 0..<6 {
            var gradients: [Tensor?] = together.gradients(step: step)
            if step % 2 == 0 { gradients[1] = nil } else { single.step([alone.gradients(step: step)[1]]) }
            if step == 3 { gradients[0] = nil }
            optimizer.step(gradients)
        }
        #expect(together.parameters[1].isEqual(to: alone.parameters[1]))
        #expect(optimizer.scalarState.stepCounts == ["0": 5, "1": 3, "2": 6])
        optimizer.step([nil, nil, nil])
        #expect(optimizer.scalarState.stepCounts == ["0": 5, "1": 3, "2": 6])
    }

    /// Half precision: one step is the float32 step, rounded; state is float32, or indices.
    @Test(arguments: everyOptimizer) func halfPrecisionIsUpdatedInFloat32(_ configuration: OptimizerConfiguration) throws {
        for dtype in [DType.bfloat16, .float16] {
            let half: ToyProblem = ToyProblem(dtype: dtype)
            let exact: [Tensor] = half.parameters.map { $0.asType(.float32).cloned() }
            let gradients: [Tensor] = half.gradients(step: 1)
            let optimizer: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: half.parameters)])
            optimizer.step(gradients)
            try configuration.makeOptimizer(groups: [ParameterGroup(parameters: exact)]).step(gradients.map { $0.asType(.float32) })
            for (found, wanted) in zip(half.parameters, exact) { #expect(found.isEqual(to: wanted.asType(dtype))) }
            for state in optimizer.stateTensors().values { #expect(state.dtype == .float32 || !state.dtype.isFloatingPoint) }
        }
    }

    /// Views, gradients that are expanded or transposed, and mixed dtypes in one optimizer.
    @Test(arguments: everyOptimizer) func layoutAndNeighboursDoNotMatter(_ configuration: OptimizerConfiguration) throws {
        let plain: Tensor = tensor([1, 2, 3, 4, 5, 6]).reshaped([2, 3]).cloned()
        let transposed: Tensor = plain.cloned().transposed().contiguous().transposed()
        #expect(!transposed.isContiguous)
        let gradient: Tensor = Tensor.full([], 0.5, dtype: .float64, device: .cpu).expanded(to: [2, 3])
        let float: Tensor = tensor([1, 2], dtype: .float32), half: Tensor = tensor([1, 2], dtype: .bfloat16)
        let mixed: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: [float, transposed, half])])
        let single: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: [plain])])
        for _ in 0..<3 {
            mixed.step([float.onesLike(), gradient, half.onesLike()])
            single.step([gradient])
        }
        #expect(largestDifference(transposed.array(), plain.array()) < 1e-14)
        #expect(gradient.array(Double.self) == Array(repeating: 0.5, count: 6))
        #expect(float.array(Double.self)[0] < 1)
    }

    @Test(arguments: everyOptimizer) func gradientsAreNotWrittenToAndNothingIsRecorded(_ configuration: OptimizerConfiguration) throws {
        let parameter: Tensor = tensor([1, -1, 2]).requiringGrad()
        let optimizer: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: [parameter])])
        for _ in 0..<3 {
            let found: [Tensor] = valueAndGrad(of: [parameter]) { (parameter * parameter).sum() }.gradients
            let before: [Double] = found[0].array()
            optimizer.step(found)
            #expect(found[0].array() == before)
        }
        #expect(parameter.requiresGrad && !parameter.hasGraph)
        #expect(optimizer.stateTensors().values.allSatisfy { !$0.requiresGrad })
        #expect(abs(parameter.array(Double.self)[2]) < 2)
    }

    @Test func badSettingsAreRefusedInOneLine() throws {
        let cases: [(String, () throws -> Any)] = [
            ("SGD: learningRate is -1.0; it has to be at least 0 and finite", { try SGDConfiguration(learningRate: -1) }),
            ("SGD: learningRate is nan; it has to be at least 0 and finite", { try SGDConfiguration(learningRate: .nan) }),
            ("SGD: nesterov is true; it needs momentum above 0 and dampening 0", { try SGDConfiguration(nesterov: true) }),
            ("AdamW: beta1 is 1.0; it has to lie in 0 ..< 1", { try AdamWConfiguration(beta1: 1) }),
            ("Adam: epsilon is -1e-08; it has to be at least 0 and finite", { try AdamConfiguration(epsilon: -1e-8) }),
            ("Lion: beta2 is 1.5; it has to lie in 0 ..< 1", { try LionConfiguration(beta2: 1.5) }),
            ("RMSprop: alpha is -0.1; it has to lie in 0 ..< 1", { try RMSpropConfiguration(alpha: -0.1) }),
            ("Adagrad: weightDecay is inf; it has to be at least 0 and finite", { try AdagradConfiguration(weightDecay: .infinity) }),
            ("Kar: betas[1] is 1.0; it has to lie in 0 ..< 1", { try KarConfiguration(betas: [0.5, 1]) }),
            ("Kar: betas is []; it needs at least one decay", { try KarConfiguration(betas: []) }),
            ("Adafactor: warmUp is true; it needs relativeStep", { try AdafactorConfiguration(relativeStep: false, warmUp: true) }),
            ("Adafactor: clippingThreshold is 0.0; it has to be above 0 and finite", { try AdafactorConfiguration(clippingThreshold: 0) }),
            (
                "AdamW: no field is called \"momentum\"; there are learningRate, beta1, beta2, epsilon, weightDecay, amsgrad",
                { try Self.decode(#"{"adamw": {"momentum": 1}}"#) }
            ),
            ("AdamW: learningRate is not of type Double", { try Self.decode(#"{"adamw": {"learningRate": "fast"}}"#) }),
            ("AdamW: beta2 is 2.0; it has to lie in 0 ..< 1", { try Self.decode(#"{"adamw": {"beta2": 2}}"#) }),
            ("optimizer: 0 optimizers are named; name one", { try Self.decode("{}") }),
            (
                "optimizer: no field is called \"adan\"; there are sgd, adam, adamw, adafactor, lion, rmsprop, adagrad, kar, galore, dctAdamW, trion, lamb, lars",
                { try Self.decode(#"{"adan": {}}"#) }
            ),
            ("AdamW: a table of named fields was expected", { try Self.decode(#"{"adamw": 3}"#) }),
        ]
        for (message, make) in cases {
            do {
                _ = try make()
                Issue.record("accepted: \(message)")
            } catch {
                #expect("\(error)" == message)
                #expect(error is ConfigurationError)
            }
        }
    }

    /// Two steps of Kar3 by hand: the first moves by the learning rate, the second by three of them where the signs agree. In the
    /// third place the averages outvote the gradient.
    @Test func karTakesThreeSignStepsOnAGradient() throws {
        let parameter: Tensor = tensor([1, 1, 1, 0])
        let optimizer: Kar = try Kar(parameters: [parameter], configuration: .kar3(learningRate: 0.1))
        optimizer.step([tensor([2, -3, 4, 0])])
        #expect(largestDifference(parameter.array(), [0.9, 1.1, 0.9, 0]) < 1e-15)
        optimizer.step([tensor([1, -1, -1, 2])])
        #expect(largestDifference(parameter.array(), [0.6, 1.4, 0.8, -0.1]) < 1e-15)
        let averages: [String: Tensor] = optimizer.stateTensors()
        #expect(largestDifference(try #require(averages["0.exp_avg_0"]).array(), [1, -1.25, 0.5, 1]) < 1e-15)
        #expect(largestDifference(try #require(averages["0.exp_avg_1"]).array(), [0.145, -0.1925, 0.14, 0.1]) < 1e-15)
        let single: Tensor = tensor([1])
        let kar2: Kar = try Kar(parameters: [single], configuration: .kar2(learningRate: 0.1))
        for _ in 0..<2 { kar2.step([tensor([5])]) }
        #expect(largestDifference(single.array(), [0.7]) < 1e-15)
    }

    @Test func badParametersAreRefused() throws {
        let float: Tensor = tensor([1]), integer: Tensor = Tensor([1, 2], device: .cpu)
        let configuration: SGDConfiguration = try SGDConfiguration()
        #expect(throws: ConfigurationError("parameter 1 is int64; optimizers update real floating-point tensors")) {
            try SGD(parameters: [float, integer], configuration: configuration)
        }
        #expect(throws: ConfigurationError("\"a\" and \"b\" are the same tensor; give a shared parameter once")) {
            try SGD(parameters: [float, float], names: ["a", "b"], configuration: configuration)
        }
        #expect(throws: ConfigurationError("two parameters are called \"a\"; each needs a name of its own")) {
            try SGD(parameters: [float, tensor([2])], names: ["a", "a"], configuration: configuration)
        }
        #expect(throws: ConfigurationError("parameter group 0: weightDecay is -1.0; it has to be at least 0 and finite")) {
            try SGD(groups: [ParameterGroup(parameters: [float], weightDecay: -1)], configuration: configuration)
        }
    }

    @Test(arguments: everyOptimizer) func configurationsSurviveJSON(_ configuration: OptimizerConfiguration) throws {
        let data: Data = try JSONEncoder().encode(configuration)
        #expect(try JSONDecoder().decode(OptimizerConfiguration.self, from: data) == configuration)
    }

    private static func decode(_ json: String) throws -> OptimizerConfiguration {
        try JSONDecoder().decode(OptimizerConfiguration.self, from: Data(json.utf8))
    }
}
