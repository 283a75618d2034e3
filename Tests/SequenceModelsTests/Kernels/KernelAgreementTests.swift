import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// What holds for every operator: its forms agree, its hand-written backward is the recurrence's, padding and masks leave no trace.
@Suite(.ownRandomNumbers) struct KernelAgreementTests {
    static let modes: [MixerMode] = [.chunkwise(1), .chunkwise(5), .chunkwise(16), .chunkwise(32), .chunkwise(64), .parallel]

    @Test(arguments: KernelUnderTest.all, [1, 5, 37, 64, 70])
    func formsAgreeInDouble(kernel: KernelUnderTest, length: Int) {
        for withState in [false, true] {
            let sizes: KernelSizes = KernelSizes(length: length, withState: withState)
            expectAgreement(kernel, sizes, dtype: .float64, tolerance: 1e-10, modes: Self.modes)
        }
    }

    @Test(arguments: KernelUnderTest.all, [37, 70])
    func formsAgreeInSingle(kernel: KernelUnderTest, length: Int) {
        let sizes: KernelSizes = KernelSizes(length: length, withState: true)
        expectAgreement(kernel, sizes, dtype: .float32, tolerance: 2e-4, modes: [.chunkwise(16), .chunkwise(64), .parallel])
    }

    private func expectAgreement(_ kernel: KernelUnderTest, _ sizes: KernelSizes, dtype: DType, tolerance: Double, modes: [MixerMode]) {
        let inputs: [Tensor] = kernel.inputs(sizes, dtype: dtype)
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { kernel.run($0, sizes, mode: .recurrent) }
        for mode in modes {
            let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { kernel.run($0, sizes, mode: mode) }
            for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
                let error: Double = scaledError(pair.0, pair.1)
                #expect(error < tolerance, "\(kernel) \(sizes) \(mode), result \(index): \(error)")
            }
        }
    }

    @Test(arguments: KernelUnderTest.all)
    func gradientsAreFiniteDifferences(kernel: KernelUnderTest) throws {
        let sizes: KernelSizes = KernelSizes(batch: 1, length: 6, heads: 2, key: 3, value: 2, withState: true)
        try gradientCheck(kernel.inputs(sizes)) { kernel.run($0, sizes, mode: .chunkwise(4)) }
    }

    @Test(arguments: KernelUnderTest.all)
    func secondDerivativesAgree(kernel: KernelUnderTest) {
        let sizes: KernelSizes = KernelSizes(batch: 1, length: 9, heads: 2, key: 3, value: 2, withState: true)
        func squaredGradient(_ mode: MixerMode) -> [Tensor] {
            let leaves: [Tensor] = kernel.inputs(sizes).map { $0.requiringGrad() }
            let loss: Tensor = kernel.run(leaves, sizes, mode: mode).map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)
            let first: [Tensor] = gradients(of: [loss], withRespectTo: leaves, createGraph: true)
            return gradients(of: [first.map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)], withRespectTo: leaves)
        }
        for (found, expected) in zip(squaredGradient(.chunkwise(4)), squaredGradient(.recurrent)) {
            #expect(scaledError(found, expected) < 1e-10)
        }
    }

    @Test(arguments: KernelUnderTest.all)
    func splitSequencesContinue(kernel: KernelUnderTest) {
        let sizes: KernelSizes = KernelSizes(length: 37)
        let inputs: [Tensor] = kernel.inputs(sizes)
        let whole: [Tensor] = kernel.run(inputs, sizes, mode: .chunkwise(16))
        var state: Tensor?
        var pieces: [Tensor] = []
        for (start, length) in [(0, 1), (1, 20), (21, 16)] {
            let piece: [Tensor] = inputs.map { $0.narrowed(axis: 1, start: start, length: length) }
            let results: [Tensor] = kernel.run(
                piece + [state].compactMap { $0 }, KernelSizes(withState: state != nil), mode: .chunkwise(16))
            pieces.append(results[0])
            state = results[1]
        }
        #expect(relativeError(concatenated(pieces, axis: 1), whole[0]) < 1e-12)
        #expect(relativeError(state!, whole[1]) < 1e-12)
    }

    @Test(arguments: KernelUnderTest.all, [MixerMode.recurrent, .chunkwise(16), .parallel])
    func maskedStepsLeaveNoTrace(kernel: KernelUnderTest, mode: MixerMode) {
        let (sizes, padding): (KernelSizes, Int) = (KernelSizes(length: 21), 6)
        let inputs: [Tensor] = kernel.inputs(sizes)
        let expected: [Tensor] = kernel.run(inputs, sizes, mode: mode)
        let padded: [Tensor] = inputs.map { input in
            concatenated([Tensor.ones([sizes.batch, padding] + input.shape.dropFirst(2), dtype: .float64, device: .cpu), input], axis: 1)
        }
        let mask: Tensor = concatenated(
            [.zeros([sizes.batch, padding], device: .cpu), .ones([sizes.batch, sizes.length], device: .cpu)], axis: 1)
        let found: [Tensor] = kernel.run(padded, sizes, mask: mask, mode: mode)
        #expect(relativeError(found[0].narrowed(axis: 1, start: padding, length: sizes.length), expected[0]) < 1e-12)
        #expect(relativeError(found[1], expected[1]) < 1e-12)
    }

    @Test(arguments: KernelUnderTest.all, [MixerMode.recurrent, .chunkwise(16)])
    func halfPrecisionKeepsAWideState(kernel: KernelUnderTest, mode: MixerMode) {
        let sizes: KernelSizes = KernelSizes(length: 37)
        let inputs: [Tensor] = kernel.inputs(sizes, dtype: .bfloat16)
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { kernel.run($0, sizes, mode: mode) }
        let expected: [Tensor] = kernel.run(inputs.map { $0.asType(.float32) }, sizes, mode: mode)
        #expect(found.0[0].dtype == .bfloat16 && found.0[1].dtype == .float32)
        #expect(found.1.allSatisfy { $0.dtype == .bfloat16 })
        #expect(relativeError(found.0[0], expected[0]) < 0.005)
        #expect(relativeError(found.0[1], expected[1]) < 1e-5)
    }

    @Test func modeFollowsTheLength() {
        #expect(MixerMode.chunk(for: nil, length: MixerMode.longestRecurrence) == nil)
        #expect(MixerMode.chunk(for: nil, length: 9) == 9)
        #expect(MixerMode.chunk(for: nil, length: 1000) == MixerMode.defaultChunk)
        // Two equal chunks, not one of 32 and one of 1 padded to 32.
        #expect(MixerMode.chunk(for: nil, length: 33) == 17)
        #expect(MixerMode.chunk(for: .chunkwise(16), length: 5) == 5)
        #expect(MixerMode.chunk(for: .parallel, length: 300) == 300)
    }
}
