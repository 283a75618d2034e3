import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct ActivationCheckpointTests {
    private let weight: Tensor = Tensor.normal([6, 6], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
        .requiringGrad()
    private let x: Tensor = Tensor.normal([4, 6], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        .requiringGrad()

    private func block(_ input: Tensor) -> Tensor { dropout(input.matmul(weight).tanh(), probability: 0.4, training: true) }

    /// Output, both gradients, and the next number of the shared stream.
    private func pass(_ forward: (Tensor) -> Tensor) -> [Tensor] {
        RandomGenerator.shared(on: .cpu).seed(5)
        let output: Tensor = forward(x)
        let found: [Tensor] = gradients(of: [output.square().sum()], withRespectTo: [x, weight])
        return [output.detached()] + found + [Tensor.uniform([1], dtype: .float64, device: .cpu)]
    }

    @Test func gradientsAndDropoutAgreeWithThePlainPass() {
        let plain: [Tensor] = pass { block(block($0)) }
        let checkpointed: [Tensor] = pass { input in
            checkpoint(checkpoint(input, parameters: [weight], block), parameters: [weight], block)
        }
        for (left, right) in zip(plain, checkpointed) { #expect(left.isEqual(to: right)) }
    }

    @Test func higherOrderAgrees() throws {
        let smooth: (Tensor) -> Tensor = { $0.matmul(weight).tanh() }
        func second(_ forward: (Tensor) -> Tensor) -> Tensor {
            let first: Tensor = gradients(of: [forward(x).pow(3).sum()], withRespectTo: [x], createGraph: true)[0]
            return gradients(of: [first.square().sum()], withRespectTo: [weight])[0]
        }
        expectClose(second { checkpoint($0, parameters: [weight], smooth) }, second(smooth), tolerance: 1e-12)
    }

    @Test func autocastIsRestored() {
        let single: Tensor = Tensor.full([2, 6], 1.0 / 3, device: .cpu).requiringGrad()
        var types: [DType] = []
        let output: Tensor = autocast(.bfloat16, device: .cpu) {
            checkpoint(single) { input in
                let product: Tensor = input.matmul(Tensor.ones([6, 6], device: .cpu))
                types.append(product.dtype)
                return product
            }
        }
        _ = gradients(of: [output.sum()], withRespectTo: [single])
        #expect(types == [.bfloat16, .bfloat16])
    }

    @Test func memoryFallsToTheSegmentsInputs() {
        let wide: Tensor = Tensor.ones([64, 1024], device: .cpu).requiringGrad()
        let deep: (Tensor) -> Tensor = { (0..<20).reduce($0) { value, _ in value.sin() } }
        func kept(_ forward: (Tensor) -> Tensor) -> Int {
            let measured: (result: Tensor, usage: Memory.Usage) = Memory.measure { forward(wide) }
            return withExtendedLifetime(measured.result) { measured.usage.remainingByteCount }
        }
        let bytes: Int = wide.byteCount
        #expect(kept(deep) >= 20 * bytes)
        #expect(kept { checkpoint($0, deep) } < 2 * bytes)
    }
}
