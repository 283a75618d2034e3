import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct AutogradTests {
    private func leaf(_ values: [Double]) -> Tensor { Tensor(values, device: .cpu).requiringGrad() }

    @Test func derivativesUpToTheThird() {
        let x: Tensor = leaf([0.3, -1.2])
        let first: Tensor = gradients(of: [x.sin().sum()], withRespectTo: [x], createGraph: true)[0]
        let second: Tensor = gradients(of: [first.sum()], withRespectTo: [x], createGraph: true)[0]
        let third: Tensor = gradients(of: [second.sum()], withRespectTo: [x])[0]
        expectClose(first, x.detached().cos())
        expectClose(second, -x.detached().sin())
        expectClose(third, -x.detached().cos())
    }

    @Test func gradComposes() {
        let cube: ([Tensor]) -> Tensor = { $0[0].pow(3).sum() }
        let slope: ([Tensor]) -> [Tensor] = grad(of: cube)
        let curvature: ([Tensor]) -> [Tensor] = grad(of: { slope($0)[0].sum() })
        let x: Tensor = Tensor([2.0, -1.0], device: .cpu)
        #expect(slope([x])[0].array(Double.self) == [12, 3])
        #expect(curvature([x])[0].array(Double.self) == [12, -6])
        #expect(grad(of: { curvature($0)[0].sum() })([x])[0].array(Double.self) == [6, 6])
    }

    @Test func gradModeAndStopGradient() {
        let x: Tensor = leaf([2])
        #expect(!noGrad { x * x }.requiresGrad)
        #expect(noGrad { enableGrad { x * x } }.requiresGrad)
        let product: Tensor = (x * stopGradient(x)).sum()
        #expect(gradients(of: [product], withRespectTo: [x])[0].item(Double.self) == 2)
        #expect(isGradEnabled)
    }

    @Test func unusedInputsGetZeros() {
        let (x, y): (Tensor, Tensor) = (leaf([1, 2]), leaf([3]))
        let found: [Tensor] = gradients(of: [x.sum()], withRespectTo: [x, y])
        #expect(found[1].array(Double.self) == [0])
    }

    @Test func accumulationOverSeveralOutputs() {
        let x: Tensor = leaf([1, 2])
        let found: Tensor = gradients(
            of: [x * 2, x * x], withRespectTo: [x], outputGradients: [Tensor([1.0, 10.0]), Tensor([1.0, 1.0])])[0]
        #expect(found.array(Double.self) == [4, 24])
    }

    @Test func autocastComputesProductsInReducedPrecisionOnly() {
        let weight: Tensor = Tensor.ones([4, 4], device: .cpu).requiringGrad()
        let x: Tensor = Tensor.full([2, 4], 1.0 / 3, device: .cpu)
        let (product, inner): (Tensor, Tensor) = autocast(.bfloat16, device: .cpu) {
            (x.matmul(weight), autocast(device: .cpu, enabled: false) { x.matmul(weight) })
        }
        #expect(product.dtype == .bfloat16)
        #expect(inner.dtype == .float32)
        #expect(x.matmul(weight).dtype == .float32)
        #expect(!isAutocastEnabled(on: .cpu))
        #expect(gradients(of: [product.asType(.float32).sum()], withRespectTo: [weight])[0].dtype == .float32)
    }
}

/// A function with a hand-written backward, and what becomes of its closure.
@Suite(.ownRandomNumbers) struct CustomFunctionTests {
    /// `x³` by hand; the backward is made of operators and so differentiable.
    private func cube(_ x: Tensor) -> Tensor {
        customFunction("cube", [x]) { inputs in
            let value: Tensor = inputs[0]
            return ([value.pow(3)], { [($0[0] ?? value.zerosLike()) * value.square() * 3] })
        }[0]
    }

    @Test func firstAndSecondOrder() {
        let x: Tensor = Tensor([2.0, -0.5], device: .cpu).requiringGrad()
        let first: Tensor = gradients(of: [cube(x).sum()], withRespectTo: [x], createGraph: true)[0]
        #expect(first.array(Double.self) == [12, 0.75])
        let second: Tensor = gradients(of: [first.sum()], withRespectTo: [x])[0]
        #expect(second.array(Double.self) == [12, -3])
    }

    @Test func agreesWithFiniteDifferences() throws {
        try gradientCheck([Tensor([0.4, -1.1], device: .cpu)], secondOrder: true) { [cube($0[0]) * $0[0].exp()] }
    }

    @Test func severalInputsAndOutputsWithGaps() {
        let x: Tensor = Tensor([3.0], device: .cpu).requiringGrad()
        let y: Tensor = Tensor([5.0], device: .cpu).requiringGrad()
        let outputs: [Tensor] = customFunction("twice", [x, y]) { inputs in
            ([inputs[0] * 2, inputs[1] * 7], { outgoing in [outgoing[0].map { $0 * 2 }, outgoing[1].map { $0 * 7 }] })
        }
        let found: [Tensor] = gradients(of: [outputs[1]], withRespectTo: [x, y])
        #expect(found.map { $0.item(Double.self) } == [0, 7])
    }

    @Test func failuresInTheBackwardAreThrown() {
        let x: Tensor = Tensor([1.0, 2.0], device: .cpu).requiringGrad()
        func failing(_ backward: @escaping ([Tensor?]) throws -> [Tensor?]) -> String {
            let output: Tensor = customFunction("broken", [x]) { ([$0[0] * 2], backward) }[0]
            do {
                _ = try withTorchErrors { gradients(of: [output.sum()], withRespectTo: [x]) }
                return ""
            } catch { return "\(error)" }
        }
        #expect(failing { _ in [] }.contains("the backward gave 0 gradients for 1 inputs"))
        #expect(failing { _ in throw TorchError("no way back") }.contains("no way back"))
        let inOperator: String = failing { [$0[0]?.matmul(Tensor.ones([3, 3], dtype: .float64))] }
        #expect(inOperator.contains("matmul"))
    }

    private final class Counter {
        var alive: Int = 0
    }

    private final class Witness {
        let counter: Counter
        init(_ counter: Counter) {
            self.counter = counter
            counter.alive += 1
        }
        deinit { counter.alive -= 1 }
    }

    @Test func closuresAreReleasedWithTheGraph() {
        let counter: Counter = Counter()
        let x: Tensor = Tensor([1.0], device: .cpu).requiringGrad()
        func run(_ input: Tensor) -> Tensor {
            let witness: Witness = Witness(counter)
            return customFunction("witnessed", [input]) { inputs in
                ([inputs[0] * 2], { outgoing in withExtendedLifetime(witness) { [outgoing[0].map { $0 * 2 }] } })
            }[0]
        }
        for _ in 0..<50 {
            let output: Tensor = run(x)
            #expect(counter.alive == 1)
            _ = gradients(of: [output.sum()], withRespectTo: [x], createGraph: true)
        }
        #expect(counter.alive == 0)
        // Without a graph the closure is never kept.
        _ = noGrad { run(x) }
        _ = run(x.detached())
        #expect(counter.alive == 0)
    }
}
