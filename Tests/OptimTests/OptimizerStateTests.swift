import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct OptimizerStateTests {
    private func group(_ problem: ToyProblem) -> [ParameterGroup] {
        [ParameterGroup(parameters: problem.parameters, names: ToyProblem.names)]
    }

    /// Saved through files and JSON as a checkpoint is, after a step in which one parameter had no gradient.
    @Test(arguments: everyOptimizer) func aSavedRunContinuesBitForBit(_ configuration: OptimizerConfiguration) throws {
        for dtype in [DType.float64, .float32, .bfloat16] {
            let unbroken: ToyProblem = ToyProblem(dtype: dtype)
            let first: any Optimizer = try configuration.makeOptimizer(groups: group(unbroken))
            first.learningRate *= 0.7
            first.step([nil] + unbroken.gradients(step: 0).dropFirst().map { Optional($0) })
            unbroken.train(first, steps: 1..<4)
            let resumed: ToyProblem = ToyProblem(dtype: dtype, seed: 99)
            for (target, source) in zip(resumed.parameters, unbroken.parameters) { target.copy_(from: source) }
            let second: any Optimizer = try configuration.makeOptimizer(groups: group(resumed))
            try throughFiles(from: first, to: second)
            unbroken.train(first, steps: 4..<8)
            resumed.train(second, steps: 4..<8)
            for (one, other) in zip(unbroken.parameters, resumed.parameters) { #expect(one.isEqual(to: other)) }
            #expect(first.scalarState == second.scalarState)
            #expect(first.stateByteCount == second.stateByteCount)
        }
    }

    private func throughFiles(from first: any Optimizer, to second: any Optimizer) throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("optimizer.safetensors")
            try saveTensors(first.stateTensors(), to: file)
            let scalars: Data = try JSONEncoder().encode(first.scalarState)
            try second.loadState(loadTensors(file), scalars: JSONDecoder().decode(OptimizerScalars.self, from: scalars))
        }
    }

    @Test func stateIsNamedAndCounted() throws {
        let problem: ToyProblem = ToyProblem(dtype: .float32)
        let optimizer: AdamW = try AdamW(groups: group(problem), configuration: AdamWConfiguration())
        #expect(optimizer.stateByteCount == 0)
        optimizer.step([nil, problem.gradients(step: 0)[1], nil])
        #expect(optimizer.stateTensors().keys.sorted() == ["bias.exp_avg", "bias.exp_avg_sq"])
        #expect(optimizer.stateByteCount == 2 * 5 * 4)
        #expect(optimizer.scalarState.stepCounts == ["bias": 1])
    }

    @Test func adafactorKeepsRowsAndColumns() throws {
        let matrix: Tensor = Tensor.ones([300, 200], device: .cpu)
        let optimizer: Adafactor = try Adafactor(parameters: [matrix], configuration: AdafactorConfiguration())
        optimizer.step([matrix.onesLike()])
        #expect(optimizer.stateByteCount == (300 + 200) * 4)
    }

    @Test func stateThatDoesNotFitIsRefusedAndChangesNothing() throws {
        let problem: ToyProblem = ToyProblem()
        let optimizer: AdamW = try AdamW(groups: group(problem), configuration: AdamWConfiguration())
        problem.train(optimizer, steps: 0..<2)
        let tensors: [String: Tensor] = optimizer.stateTensors()
        let scalars: OptimizerScalars = optimizer.scalarState
        let before: [String: [Double]] = tensors.mapValues { $0.array() }
        let cases: [([String: Tensor], OptimizerScalars, String)] = [
            (tensors.filter { $0.key != "bias.exp_avg" }, scalars, "the state has no tensor \"bias.exp_avg\""),
            (
                tensors.merging(["bias.exp_avg": Tensor.ones([4], dtype: .float64, device: .cpu)]) { $1 }, scalars,
                "the state's \"bias.exp_avg\" is float64 [4]; the parameter needs float64 [5]"
            ),
            (
                tensors.merging(["bias.exp_avg": Tensor.ones([5], device: .cpu)]) { $1 }, scalars,
                "the state's \"bias.exp_avg\" is float32 [5]; the parameter needs float64 [5]"
            ),
            (
                tensors.merging(["bias.momentum_buffer": Tensor.ones([5], device: .cpu)]) { $1 }, scalars,
                "the state is of another optimizer or model: nothing uses its tensor \"bias.momentum_buffer\""
            ),
            (
                tensors, OptimizerScalars(learningRate: 1, stepCounts: ["head": 3]),
                "the state is of another model: the optimizer has no parameter \"head\""
            ),
            (
                tensors, OptimizerScalars(learningRate: 1, stepCounts: ["bias": 0]),
                "the step count of bias is 0; it has to be at least 1"
            ),
        ]
        for (wrong, wrongScalars, message) in cases {
            #expect(throws: OptimizerStateError.self) { try optimizer.loadState(wrong, scalars: wrongScalars) }
            do { try optimizer.loadState(wrong, scalars: wrongScalars) } catch { #expect("\(error)" == message) }
        }
        #expect(optimizer.stateTensors().mapValues { $0.array(Double.self) } == before)
        #expect(optimizer.scalarState == scalars)
    }
}
