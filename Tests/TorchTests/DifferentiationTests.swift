import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct DifferentiationTests {
    private let generator: RandomGenerator = RandomGenerator(seed: 11, device: .cpu)

    private func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }

    @Test func jvpAndVjpAgreeWithTheJacobian() {
        let (x, weight): (Tensor, Tensor) = (normal([3]), normal([4, 3]))
        let function: (Tensor) -> Tensor = { weight.matmul($0).tanh() * $0.sum() }
        let matrix: Tensor = jacobian(function, at: x)
        #expect(matrix.shape == [4, 3])
        let (tangent, cotangent): (Tensor, Tensor) = (normal([3]), normal([4]))
        let forward: (outputs: [Tensor], products: [Tensor]) = jvp({ [function($0[0])] }, at: [x], tangents: [tangent])
        expectClose(forward.outputs[0], function(x))
        expectClose(forward.products[0], matrix.matmul(tangent))
        let backward: (outputs: [Tensor], products: [Tensor]) = vjp({ [function($0[0])] }, at: [x], cotangents: [cotangent])
        expectClose(backward.products[0], cotangent.matmul(matrix))
        #expect(!backward.outputs[0].requiresGrad)
    }

    @Test func jvpGoesThroughCustomFunctions() {
        let x: Tensor = Tensor([2.0, 3.0], device: .cpu)
        let result: (outputs: [Tensor], products: [Tensor]) = jvp(
            { inputs in
                customFunction("square", inputs) { given in
                    let value: Tensor = given[0]
                    return ([value * value], { [$0[0].map { $0 * value * 2 }] })
                }
            }, at: [x], tangents: [Tensor([1.0, 10.0], device: .cpu)])
        #expect(result.products[0].array(Double.self) == [4, 60])
    }

    @Test func hessianAndItsProduct() {
        let (x, direction): (Tensor, Tensor) = (normal([2, 2]), normal([2, 2]))
        let function: (Tensor) -> Tensor = { ($0.matmul($0).exp() * $0).sum() }
        let matrix: Tensor = hessian(function, at: x)
        #expect(matrix.shape == [2, 2, 2, 2])
        let flat: Tensor = matrix.reshaped(4, 4)
        expectClose(flat, flat.mT)
        let product: (value: Tensor, products: [Tensor]) = hessianVectorProduct({ function($0[0]) }, at: [x], vectors: [direction])
        expectClose(product.products[0].flattened(), flat.matmul(direction.flattened()))
        expectClose(product.value, function(x))
    }

    @Test func constantsHaveZeroDerivatives() {
        let x: Tensor = normal([2])
        #expect(jacobian({ _ in Tensor([1.0, 2.0, 3.0]) }, at: x).array(Double.self) == Array(repeating: 0, count: 6))
        #expect(jvp({ _ in [Tensor([1.0])] }, at: [x], tangents: [x]).products[0].array(Double.self) == [0])
        #expect(hessian({ $0.sum() }, at: x).array(Double.self) == [0, 0, 0, 0])
    }
}

@Suite(.ownRandomNumbers) struct GradientCheckTests {
    @Test func acceptsRightGradients() throws {
        let x: Tensor = Tensor([0.5, 1.5, -0.7] as [Float])
        let report: GradientCheckReport = try gradientCheck([x, Tensor(2 as Float)], secondOrder: true) {
            [($0[0] * $0[1]).sin(), $0[0].exp()]
        }
        #expect(report.worstRelativeError < 1e-6)
    }

    @Test func refusesWrongGradientsAndSaysWhere() {
        let wrong: ([Tensor]) -> [Tensor] = { inputs in
            // Right for the first element only.
            customFunction("wrong", inputs) { given in
                ([given[0] * 2], { [$0[0].map { $0 * Tensor([2.0, 2.5]) }] })
            }
        }
        let found: GradientCheckError? = #expect(throws: GradientCheckError.self) { try gradientCheck([Tensor([1.0, 1.0])], of: wrong) }
        #expect(found?.report.element == 1)
        #expect(found.map { abs($0.report.analytic / $0.report.numeric - 1.25) < 1e-6 } == true)
        #expect(found?.description.hasPrefix("gradientCheck: worst relative error 0.2") == true)
    }

    @Test func refusesWrongSecondDerivatives() {
        // The backward is right but its own derivative is cut off.
        let cut: ([Tensor]) -> [Tensor] = { inputs in
            customFunction("cut", inputs) { given in
                let value: Tensor = given[0].detached()
                return ([value * value], { [$0[0].map { $0 * value * 2 }] })
            }
        }
        let x: Tensor = Tensor([0.8])
        #expect(throws: Never.self) { try gradientCheck([x], of: cut) }
        #expect(throws: GradientCheckError.self) { try gradientCheck([x], secondOrder: true, of: cut) }
    }

    @Test func operatorFailuresAreThrown() {
        #expect(throws: TorchError.self) { try gradientCheck([Tensor.ones([2, 3])]) { [$0[0].matmul($0[0])] } }
    }
}
