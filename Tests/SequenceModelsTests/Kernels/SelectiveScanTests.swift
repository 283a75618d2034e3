import NN
import Optim
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The selective scan in its forms, and what its equation implies.
@Suite(.ownRandomNumbers) struct SelectiveScanTests {
    /// u, delta, A, B, C, D, z, bias and the initial state.
    private func inputs(
        length: Int = 37, batch: Int = 2, channels: Int = 5, order: Int = 3, dtype: DType = .float64, scale: Double = 1
    ) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: 7, device: .cpu)
        func normal(_ shape: Int...) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let inputs: [Tensor] = [
            normal(batch, length, channels), normal(batch, length, channels) * scale, -normal(channels, order).exp(),
            normal(batch, length, order), normal(batch, length, order), normal(channels), normal(batch, length, channels), normal(channels),
            normal(batch, channels, order),
        ]
        return inputs.map { $0.asType(dtype) }
    }

    private func run(_ i: [Tensor], mask: Tensor? = nil, mode: MixerMode?) -> [Tensor] {
        let result: (output: Tensor, state: Tensor) = selectiveScan(
            u: i[0], delta: i[1], A: i[2], B: i[3], C: i[4], D: i[5], z: i[6], deltaBias: i[7], initialState: i[8], mask: mask, mode: mode)
        return [result.output, result.state]
    }

    private func expectAgreement(_ inputs: [Tensor], _ mode: MixerMode, tolerance: Double) {
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: .recurrent) }
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: mode) }
        for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
            let error: Double = scaledError(pair.0, pair.1)
            #expect(error < tolerance, "\(mode), result \(index): \(error)")
        }
    }

    @Test(arguments: [MixerMode.chunkwise(1), .chunkwise(5), .chunkwise(16), .chunkwise(64), .parallel], [1, 2, 11, 37])
    func formsAgree(mode: MixerMode, length: Int) {
        expectAgreement(inputs(length: length), mode, tolerance: 1e-10)
        expectAgreement(inputs(length: length, dtype: .float32), mode, tolerance: 2e-4)
    }

    @Test func gradientsAreFiniteDifferences() throws {
        try gradientCheck(inputs(length: 6, batch: 1, channels: 2, order: 2)) { run($0, mode: .chunkwise(4)) }
    }

    @Test func secondDerivativesAgree() {
        func squaredGradient(_ mode: MixerMode) -> [Tensor] {
            let leaves: [Tensor] = inputs(length: 9, batch: 1, channels: 2, order: 2).map { $0.requiringGrad() }
            let loss: Tensor = run(leaves, mode: mode).map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)
            let first: [Tensor] = gradients(of: [loss], withRespectTo: leaves, createGraph: true)
            return gradients(of: [first.map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)], withRespectTo: leaves)
        }
        for (found, expected) in zip(squaredGradient(.chunkwise(4)), squaredGradient(.recurrent)) {
            #expect(scaledError(found, expected) < 1e-9)
        }
    }

    @Test func parallelScanIsItsRecurrence() {
        let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
        for length in 1...9 {
            let decays: Tensor = .uniform([2, length, 3], dtype: .float64, device: .cpu, generator: generator)
            let inputs: Tensor = .normal([2, length, 3], dtype: .float64, device: .cpu, generator: generator)
            var state: Tensor = .zeros([2, 3], dtype: .float64, device: .cpu)
            var states: [Tensor] = []
            for (decay, input) in zip(decays.unbound(axis: 1), inputs.unbound(axis: 1)) {
                state = decay * state + input
                states.append(state)
            }
            #expect(scaledError(diagonalScan(decays: decays, inputs: inputs), stacked(states, axis: 1)) < 1e-12)
        }
    }

    /// Steps of up to several thousand, whose decays are 0 and whose inverses would be infinite.
    @Test func largeStepsStayFinite() {
        let large: [Tensor] = inputs(dtype: .float32, scale: 1000)
        expectAgreement(large, .chunkwise(16), tolerance: 1e-4)
        #expect(run(large, mode: .parallel).allSatisfy { $0.isFinite().all().item(Bool.self) })
    }

    @Test func negativeAKeepsTheStateBounded() {
        let i: [Tensor] = inputs(length: 400)
        let ones: Tensor = i[0].onesLike()
        let result: (output: Tensor, state: Tensor) = selectiveScan(
            u: ones, delta: ones, A: i[2], B: i[3].onesLike(), C: i[4], mode: .chunkwise(32))
        // The fixed point of h = exp(ΔA) h + Δ.
        let step: Double = 1.313_261_687_518_222_8
        let limit: Tensor = step / (1 - (i[2] * step).exp())
        #expect(scaledError(result.state, limit.expanded(to: result.state.shape)) < 1e-3)
        #expect((result.state - limit).max().item(Double.self) < 1e-9)
    }

    @Test func aStepOfZeroFreezesTheState() {
        var i: [Tensor] = inputs()
        i[1] = .full(i[1].shape, -1e4, dtype: .float64, device: .cpu)
        for mode in [MixerMode.recurrent, .chunkwise(8)] {
            // The gate z is left out, so that the output is the state's read-out and the skip path alone.
            let result: (output: Tensor, state: Tensor) = selectiveScan(
                u: i[0], delta: i[1], A: i[2], B: i[3], C: i[4], D: i[5], initialState: i[8], mode: mode)
            #expect(result.state.isEqual(to: i[8]))
            let fromState: Tensor = i[4].bmm(i[8].mT)
            #expect(scaledError(result.output, fromState + i[5] * i[0]) < 1e-12)
        }
    }

    @Test(arguments: [MixerMode.recurrent, .chunkwise(8), .parallel])
    func maskedStepsLeaveNoTrace(mode: MixerMode) {
        let (padding, plain): (Int, [Tensor]) = (5, inputs(length: 21))
        let expected: [Tensor] = run(plain, mode: mode)
        var padded: [Tensor] = plain
        for index in [0, 1, 3, 4, 6] {
            let shape: [Int] = [2, padding, plain[index].dim(2)]
            padded[index] = concatenated([.ones(shape, dtype: .float64, device: .cpu), plain[index]], axis: 1)
        }
        let mask: Tensor = concatenated([.zeros([2, padding], device: .cpu), .ones([2, 21], device: .cpu)], axis: 1)
        let found: [Tensor] = run(padded, mask: mask, mode: mode)
        #expect(scaledError(found[0].narrowed(axis: 1, start: padding, length: 21), expected[0]) < 1e-12)
        #expect(scaledError(found[1], expected[1]) < 1e-12)
    }

    @Test func halfPrecisionKeepsAWideState() {
        let half: [Tensor] = inputs(dtype: .bfloat16)
        let found: ([Tensor], [Tensor]) = outputsAndGradients(half) { run($0, mode: .chunkwise(16)) }
        #expect(found.0[0].dtype == .bfloat16 && found.0[1].dtype == .float32)
        #expect(found.1.allSatisfy { $0.dtype == .bfloat16 })
        #expect(relativeError(found.0[0], run(half.map { $0.asType(.float32) }, mode: .recurrent)[0]) < 0.01)
    }

    /// The graph keeps inputs and chunk states, not `[B, T, D, N]`.
    @Test func trainingMemoryIsInputsAndChunkStates() {
        let leaves: [Tensor] = inputs(length: 512, batch: 1, channels: 32, order: 16, dtype: .float32).map { $0.requiringGrad() }
        func remaining(_ mode: MixerMode) -> Int {
            Memory.measure { run(leaves, mode: mode) }.usage.remainingByteCount
        }
        let allStates: Int = 512 * 32 * 16 * 4
        #expect(remaining(.chunkwise(32)) < allStates)
        #expect(remaining(.recurrent) > 2 * allStates)
    }

    @Test func stepsStartBetweenAThousandthAndATenth() {
        let projection: TimeStepProjection = TimeStepProjection(rank: 4, channels: 500, generator: RandomGenerator(seed: 1))
        let steps: Tensor = projection.bias.softplus()
        #expect(steps.min().item(Double.self) > 0.99e-3 && steps.max().item(Double.self) < 0.101)
        #expect(abs(steps.log().mean().item(Double.self) + 4.605) < 0.2)
        let layer: SelectiveSSM = SelectiveSSM(dim: 32, state: 4)
        #expect(
            layer.configuration.timeStepRank == 2 && layer.decayLogarithm.exp().selected(axis: 0, index: 3).array(Double.self).last! > 3.999
        )
        layer.initializeNormal()
        #expect(layer.timeStepProjection.bias.abs().min().item(Double.self) > 0)
    }

    @Test func decaysAreTrainedWithoutWeightDecay() {
        let groups: [ParameterGroup] = .stateSpace(SelectiveSSM(dim: 8, state: 3))
        let decaying: [String] = groups.filter { $0.weightDecay == nil }.flatMap { $0.names ?? [] }
        #expect(decaying.contains("in_proj.weight") && !decaying.contains("A_log") && !decaying.contains("D"))
        #expect(groups.flatMap { $0.names ?? [] }.count == SelectiveSSM(dim: 8, state: 3).parameters().count)
    }

    @Test func reversingTheOrderSwapsTheDirections() {
        let (one, other): (SelectiveSSM, SelectiveSSM) = (SelectiveSSM(dim: 6, state: 3), SelectiveSSM(dim: 6, state: 3))
        let x: Tensor = .normal([2, 9, 6], generator: RandomGenerator(seed: 2))
        let forth: Tensor = BidirectionalMixer(forward: one, backward: other)(x)
        let back: Tensor = BidirectionalMixer(forward: other, backward: one)(x.flipped(axes: [1]))
        #expect(scaledError(back.flipped(axes: [1]), forth) < 1e-5)
        #expect(scaledError(BidirectionalMixer(forward: one, backward: other)(x.flipped(axes: [1])).flipped(axes: [1]), forth) > 1e-3)
    }
}
