import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct GradientTests {
    private func tensor(_ elements: [Double], dtype: DType = .float64) -> Tensor { Tensor(elements, dtype: dtype, device: .cpu) }

    @Test func theGlobalNormIsOneVectors() {
        let gradients: [Tensor?] = [
            tensor([3, 0]), nil, tensor([[0, 4]].flatMap { $0 }, dtype: .float32), tensor([12], dtype: .bfloat16),
        ]
        #expect(globalNorm(gradients) == 13)
        #expect(globalNorm([nil]) == 0)
        #expect(globalNorm([tensor([1, .nan])]).isNaN)
        // bfloat16 sums in float32: 4096 ones would stop at 256 otherwise.
        #expect(globalNorm([Tensor.ones([4096], dtype: .bfloat16, device: .cpu)]) == 64)
    }

    @Test func clippingScalesToTheNormWithoutWritingToTheGradients() {
        let gradients: [Tensor?] = [tensor([3, 0]), nil, tensor([0, 4])]
        let (small, norm) = clipped(gradients, toGlobalNorm: 1)
        #expect(norm == 5)
        #expect(largestDifference(elements(small.compactMap { $0 }), [0.6, 0, 0, 0.8]) < 1e-15)
        #expect(small[1] == nil && elements(gradients.compactMap { $0 }) == [3, 0, 0, 4])
        #expect(elements(clipped(gradients, toGlobalNorm: 6).gradients.compactMap { $0 }) == [3, 0, 0, 4])
        let broken = clipped([tensor([.infinity, 1])], toGlobalNorm: 1)
        #expect(broken.norm == .infinity && broken.gradients[0]?.array(Double.self) == [.infinity, 1])
    }

    @Test(.enabled(if: PythonReference.isAvailable, "no Python with torch and numpy: set LINNET_PYTHON"))
    func clippingIsTorchs() throws {
        let (gradients, norm) = clipped(ToyProblem().gradients(step: 2), toGlobalNorm: 0.7)
        // torch divides by the norm + 1e-6.
        #expect(largestDifference([norm] + elements(gradients.compactMap { $0 }), try PythonReference.numbers("clipping")) < 1e-6)
    }

    static let pythonClipping: String = """
        ps = start()
        for p, g in zip(ps, grads(ps, 2)): p.grad = g
        norm = torch.nn.utils.clip_grad_norm_(ps, .7)
        result = [norm] + [x for p in ps for x in p.grad.flatten().tolist()]
        """

    @Test func clippingByValue() {
        let gradient: Tensor = tensor([-3, -0.5, 0.5, 3])
        #expect(clipped([nil, gradient], toValue: 1)[1]?.array(Double.self) == [-1, -0.5, 0.5, 1])
        #expect(gradient.array(Double.self) == [-3, -0.5, 0.5, 3])
    }

    @Test func accumulationIsTheWeightedMean() {
        let accumulator: GradientAccumulator = GradientAccumulator()
        let shared: Tensor = tensor([2, 4])
        accumulator.add([shared, shared, nil, nil], weight: 3)
        accumulator.add([tensor([6, 0]), nil, tensor([8, 8]), nil])
        #expect(accumulator.count == 2)
        let mean: [Tensor?] = accumulator.takeMean()
        #expect(mean.map { $0?.array(Double.self) } == [[3, 3], [1.5, 3], [2, 2], nil])
        #expect(shared.array(Double.self) == [2, 4] && accumulator.count == 0)
        accumulator.add([shared])
        #expect(accumulator.takeMean()[0]?.array(Double.self) == [2, 4])
    }

    /// Four quarters of a batch give the gradient of the whole.
    @Test func accumulatedQuartersAreTheWholeBatch() {
        let weight: Tensor = tensor([0.3, -0.2]).requiringGrad()
        let inputs: Tensor = Tensor((0..<16).map { Double($0).squareRoot() }, [8, 2], device: .cpu)
        func gradient(_ batch: Tensor) -> [Tensor] { valueAndGrad(of: [weight]) { batch.matmul(weight).square().mean() }.gradients }
        let accumulator: GradientAccumulator = GradientAccumulator()
        for start in stride(from: 0, to: 8, by: 2) { accumulator.add(gradient(inputs.narrowed(axis: 0, start: start, length: 2))) }
        #expect(largestDifference(accumulator.takeMean()[0]!.array(), gradient(inputs)[0].array()) < 1e-12)
    }
}
