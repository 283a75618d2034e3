import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The fused kernels against the recurrences that they compute, on every instruction set that the machine has.
/// Serialized, since the instruction set is the process's.
@Suite(.ownRandomNumbers, .serialized) struct FusedKernelTests {
    private static let kernels: [KernelUnderTest] = [
        .deltaRule, .gatedLinearAttention, .simpleGatedLinearAttention, .retention, .linearAttention,
    ]
    /// Partial and full chunks; widths on both sides of a vector's.
    private static let sizes: [KernelSizes] =
        [1, 6, 37, 64, 65, 130, 200].map { KernelSizes(length: $0, heads: 2, key: 5, value: 7) } + [
            KernelSizes(batch: 1, length: 130, heads: 1, key: 64, value: 64),
            KernelSizes(batch: 1, length: 70, heads: 1, key: 128, value: 48),
            KernelSizes(batch: 1, length: 70, heads: 1, key: 20, value: 128),
        ]

    func onEachVariant(_ body: (String) throws -> Void) rethrows {
        let usual: String = FusedKernels.variant
        defer { _ = FusedKernels.use(variant: usual) }
        for variant in ["avx512", "avx2", "baseline"] where FusedKernels.use(variant: variant) {
            try FusedKernels.$isEnabled.withValue(true) { try body(variant) }
        }
    }

    @Test(arguments: kernels, sizes)
    func agreeWithTheRecurrence(kernel: KernelUnderTest, sizes: KernelSizes) {
        for withState in [false, true] {
            var sizes: KernelSizes = sizes
            sizes.withState = withState
            let wide: [Tensor] = kernel.inputs(sizes)
            let expected: ([Tensor], [Tensor]) = outputsAndGradients(wide) { kernel.run($0, sizes, mode: .recurrent) }
            onEachVariant { variant in
                let found: ([Tensor], [Tensor]) = outputsAndGradients(wide.map { $0.asType(.float32) }) {
                    kernel.run($0, sizes, mode: .chunkwise(64))
                }
                for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
                    let error: Double = scaledError(pair.0, pair.1)
                    #expect(error < 1e-5, "\(kernel.testDescription) \(sizes) \(variant), result \(index): \(error)")
                }
            }
        }
    }

    @Test(arguments: kernels)
    func stridedInputsAndMasksAgree(kernel: KernelUnderTest) {
        let sizes: KernelSizes = KernelSizes(length: 70)
        // The same numbers with time before batch in memory, and keys whose channels are apart.
        let inputs: [Tensor] = kernel.inputs(sizes, dtype: .float32).map { $0.swappedAxes(0, 1).contiguous().swappedAxes(0, 1) }
        let scattered: [Tensor] = inputs.enumerated().map { index, input in
            index == 1 ? input.mT.contiguous().mT : input
        }
        let mask: Tensor = concatenated([.zeros([2, 9], device: .cpu), .ones([2, 61], device: .cpu)], axis: 1)
        func run(_ mode: MixerMode) -> ([Tensor], [Tensor]) {
            outputsAndGradients(scattered) { kernel.run($0, sizes, mask: mask, mode: mode) }
        }
        let expected: ([Tensor], [Tensor]) = run(.recurrent)
        onEachVariant { _ in
            let found: ([Tensor], [Tensor]) = run(.chunkwise(64))
            for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) { #expect(scaledError(one, other) < 1e-5) }
        }
    }

    @Test(arguments: [KernelUnderTest.gatedLinearAttention, .simpleGatedLinearAttention], [-20.0, -1000.0, 0.0])
    func extremeGatesStayFinite(kernel: KernelUnderTest, gate: Double) {
        let sizes: KernelSizes = KernelSizes(length: 130, withState: true)
        var inputs: [Tensor] = kernel.inputs(sizes, dtype: .float32)
        inputs[3] = .full(inputs[3].shape, gate, device: .cpu)
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs.map { $0.asType(.float64) }) {
            kernel.run($0, sizes, mode: .recurrent)
        }
        onEachVariant { _ in
            let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { kernel.run($0, sizes, mode: nil) }
            for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) {
                #expect(one.isFinite().all().item(Bool.self))
                #expect(scaledError(one, other) < 1e-5)
            }
        }
    }

    @Test(arguments: kernels)
    func secondDerivativesTakeTheOtherForm(kernel: KernelUnderTest) {
        let sizes: KernelSizes = KernelSizes(batch: 1, length: 9, heads: 2, key: 3, value: 2)
        func squaredGradient(_ mode: MixerMode) -> [Tensor] {
            let leaves: [Tensor] = kernel.inputs(sizes, dtype: .float32).map { $0.requiringGrad() }
            let loss: Tensor = kernel.run(leaves, sizes, mode: mode)[0].square().sum()
            let first: [Tensor] = gradients(of: [loss], withRespectTo: leaves, createGraph: true)
            return gradients(of: [first.map { $0.square().sum() }.reduce(Tensor(0.0 as Float, device: .cpu), +)], withRespectTo: leaves)
        }
        let expected: [Tensor] = squaredGradient(.recurrent)
        onEachVariant { _ in
            for (found, other) in zip(squaredGradient(.chunkwise(64)), expected) { #expect(scaledError(found, other) < 1e-3) }
        }
    }

    @Test func threadsDoNotChangeTheResult() {
        let sizes: KernelSizes = KernelSizes(batch: 3, length: 130, heads: 3)
        let inputs: [Tensor] = KernelUnderTest.deltaRule.inputs(sizes, dtype: .float32)
        func run(threads: Int) -> [Tensor] {
            let before: Int = Threads.count
            defer { Threads.count = before }
            Threads.count = threads
            let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { KernelUnderTest.deltaRule.run($0, sizes, mode: nil) }
            return found.0 + found.1
        }
        onEachVariant { _ in
            for (one, other) in zip(run(threads: 1), run(threads: 4)) { #expect(one.isEqual(to: other)) }
        }
    }

    @Test(arguments: kernels)
    func memoryIsThatOfTheTensorsAndGrowsWithTheLength(kernel: KernelUnderTest) {
        func peak(length: Int) -> (bytes: Int, share: Double) {
            let sizes: KernelSizes = KernelSizes(batch: 1, length: length, heads: 2, key: 16, value: 16)
            let leaves: [Tensor] = kernel.inputs(sizes, dtype: .float32).map { $0.requiringGrad() }
            let weights: Tensor = .ones([1, length, 2, 16], device: .cpu)
            let used: Int = FusedKernels.$isEnabled.withValue(true) {
                Memory.measure {
                    gradients(of: [kernel.run(leaves, sizes, mode: nil)[0]], withRespectTo: leaves, outputGradients: [weights])
                }.usage.peakByteCount
            }
            let given: Int = leaves.reduce(weights.byteCount) { $0 + $1.byteCount }
            return (used, Double(used + given) / Double(2 * given))
        }
        let (short, long): ((bytes: Int, share: Double), (bytes: Int, share: Double)) = (peak(length: 2048), peak(length: 4096))
        #expect(Double(long.bytes) <= 2.1 * Double(short.bytes))
        #expect(long.share <= 1.3, "\(kernel.testDescription): \(long.share) of inputs, outputs and gradients")
    }

    @Test func anUnknownVariantIsRefused() {
        let before: String = FusedKernels.variant
        #expect(!FusedKernels.use(variant: "abacus"))
        #expect(FusedKernels.variant == before)
    }
}
