import Optim
import TestSupport
import Testing
import Torch

/// Optimizers against torch's own or, where torch has none, the published formulas written out; 12 steps in float64.
@Suite(.ownRandomNumbers, .enabled(if: PythonReference.isAvailable, "no Python with torch and numpy: set LINNET_PYTHON"))
struct PythonAgreementTests {
    @Test(arguments: ruleReferences) func agrees(_ reference: RuleReference) throws {
        let problem: ToyProblem = ToyProblem()
        let start: [Double] = elements(problem.parameters)
        let optimizer: any Optimizer = try reference.configuration.makeOptimizer(
            groups: [ParameterGroup(parameters: problem.parameters)])
        problem.train(optimizer, steps: 0..<RuleReference.steps)
        let found: [Double] = elements(problem.parameters)
        #expect(largestDifference(found, try PythonReference.numbers(reference.name)) < 1e-10)
        #expect(largestDifference(found, start) > 1e-5)
    }
}
