import NN
import Testing
import Torch

@testable import SequenceModels

/// What every mixer has to keep to, whatever it computes. One instance tests one mixer in float64:
///
///     SequenceMixerConformance("delta net", dimensions: 12) { DeltaNet(...) }.checkAll()
struct SequenceMixerConformance: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Channels of the residual stream.
    private let dimensions: Int
    /// Whether the state keeps one size however long the sequence is.
    private let constantState: Bool
    /// Whether the forms differ, so that there is something to compare.
    private let modes: [MixerMode]
    /// The only length that the mixer takes, if there is one.
    private let length: Int?
    /// Tensors of the state that are kept tokens or counts, no memory that is added up: these need no wider type.
    private let kept: Set<String>
    /// Whether the weights stay as the mixer starts with them, since others may make it unstable.
    private let initialWeights: Bool
    private let make: @Sendable () -> any SequenceMixer

    init(
        _ name: String, dimensions: Int, constantState: Bool = true, modes: [MixerMode] = [.chunkwise(4), .chunkwise(16), .parallel],
        length: Int? = nil, kept: Set<String> = [], initialWeights: Bool = false,
        make: @escaping @Sendable () -> any SequenceMixer
    ) {
        testDescription = name
        self.dimensions = dimensions
        self.constantState = constantState
        self.modes = modes
        self.length = length
        self.kept = kept
        self.initialWeights = initialWeights
        self.make = make
    }

    /// The mixer in float64 with weights large enough to matter, the same ones on every call.
    func makeMixer() -> any SequenceMixer {
        let mixer: any SequenceMixer = make()
        mixer.to(dtype: .float64)
        if initialWeights { return mixer }
        let generator: RandomGenerator = RandomGenerator(seed: 5, device: .cpu)
        noGrad {
            for (_, parameter) in mixer.namedParameters() {
                let fanIn: Double = Double(parameter.ndim > 1 ? parameter.count / parameter.dim(0) : 4)
                let noise: Tensor = .normal(parameter.shape, dtype: .float64, device: .cpu, generator: generator)
                parameter.copy_(from: noise * (1 / fanIn.squareRoot()) + (parameter.ndim > 1 ? 0.0 : 1.0))
            }
        }
        return mixer
    }

    func stream(batch: Int = 2, length: Int, seed: UInt64 = 3) -> Tensor {
        .normal([batch, length, dimensions], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func emptyState(_ mixer: any SequenceMixer, batch: Int = 2) -> MixerState {
        mixer.initialState(batch: batch, dtype: .float64, device: .cpu)
    }

    private func piece(_ x: Tensor, _ start: Int, _ length: Int) -> Tensor { x.narrowed(axis: 1, start: start, length: length) }

    /// Every check that applies to the mixer.
    func checkAll() throws {
        checkShape()
        checkModes()
        try checkGradients()
        checkHalfPrecision()
        guard makeMixer().isCausal else { return }
        checkCausality()
        checkSplits()
        checkSteps()
        checkForks()
        checkLeftPadding()
        checkGradientsThroughState()
        checkStateSize()
        checkPacked()
        checkPackedContinuation()
    }

    func checkShape() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(length: length ?? 5))
        let output: Tensor = mixer(x)
        #expect(output.shape == x.shape)
    }

    /// Outputs, final state and all gradients are the same in all forms.
    func checkModes() {
        for length in length.map({ [$0] }) ?? [1, 6, 37] {
            let expected: [Tensor] = results(length: length, mode: .recurrent)
            for mode in modes {
                for (found, wanted) in zip(results(length: length, mode: mode), expected) {
                    let error: Double = scaledError(found, wanted)
                    #expect(error < 1e-10, "\(testDescription): \(mode) against recurrent at T = \(length): \(error)")
                }
            }
        }
    }

    private func results(length: Int, mode: MixerMode) -> [Tensor] {
        let mixer: any SequenceMixer = makeMixer()
        let x: Tensor = stream(length: length).requiringGrad()
        var state: MixerState? = emptyState(mixer)
        let output: Tensor = mixer(x, mask: nil, state: &state, mode: mode)
        let weights: Tensor = stream(length: length, seed: 4)
        let parameters: [Tensor] = mixer.parameters()
        let memory: [Tensor] = state?.recurrent.sorted { $0.key < $1.key }.map(\.value) ?? []
        return [output.detached()] + memory + gradients(of: [(output * weights).sum()], withRespectTo: [x] + parameters)
    }

    func checkGradients() throws {
        let mixer: any SequenceMixer = makeMixer()
        try gradientCheck([stream(batch: 1, length: length ?? 6)]) { [mixer($0[0], mode: .chunkwise(4))] }
    }

    /// What comes later changes nothing before.
    func checkCausality() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(length: 20))
        let expected: Tensor = mixer(x, mode: .chunkwise(8))
        for t in [1, 9, 19] {
            let changed: Tensor = concatenated([piece(x, 0, t), piece(x, t, 20 - t) + 1], axis: 1)
            let found: Tensor = mixer(changed, mode: .chunkwise(8))
            #expect(scaledError(piece(found, 0, t), piece(expected, 0, t)) < 1e-12, "\(testDescription): step \(t) reaches back")
            #expect(scaledError(piece(found, t, 1), piece(expected, t, 1)) > 1e-6, "\(testDescription): step \(t) has no effect")
        }
    }

    /// A sequence fed in pieces gives what it gives at once.
    func checkSplits() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(length: 37))
        var state: MixerState = emptyState(mixer)
        let pieces: [Tensor] = [(0, 1), (1, 20), (21, 16)].map { start, length in
            mixer(piece(x, start, length), continuing: &state, mode: .chunkwise(8))
        }
        #expect(scaledError(concatenated(pieces, axis: 1), mixer(x, mode: .chunkwise(8))) < 1e-10, "\(testDescription): split 1 + 20 + 16")
        #expect(state.offset == 37)
    }

    /// Generation step by step gives what teacher forcing gives.
    func checkSteps() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(length: 11))
        var state: MixerState = emptyState(mixer)
        let steps: [Tensor] = x.unbound(axis: 1).map { mixer.step($0, state: &state) }
        #expect(scaledError(stacked(steps, axis: 1), mixer(x)) < 1e-10, "\(testDescription): step by step")
    }

    /// A copied state is not changed by what the other copy goes on with.
    func checkForks() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(length: 10))
        var state: MixerState = emptyState(mixer)
        _ = mixer(piece(x, 0, 6), continuing: &state)
        var (one, other): (MixerState, MixerState) = (state, state)
        for t in 6..<10 { _ = mixer.step(piece(x, t, 1).squeezed(axis: 1) * -2, state: &other) }
        let found: Tensor = mixer(piece(x, 6, 4), continuing: &one)
        #expect(scaledError(found, piece(mixer(x), 6, 4)) < 1e-10, "\(testDescription): a fork disturbs its origin")
    }

    /// Masked tokens before a sequence leave no trace, neither at once nor in the steps after.
    func checkLeftPadding() {
        let (mixer, x, padding): (any SequenceMixer, Tensor, Int) = (makeMixer(), stream(length: 17), 5)
        let expected: Tensor = mixer(x)
        let padded: Tensor = concatenated([stream(length: padding, seed: 8), x], axis: 1)
        let mask: Tensor = concatenated([.zeros([2, padding], device: .cpu), .ones([2, 17], device: .cpu)], axis: 1)
        #expect(scaledError(piece(mixer(padded, mask: mask), padding, 17), expected) < 1e-10, "\(testDescription): left padding")
        var state: MixerState = emptyState(mixer)
        _ = mixer(piece(padded, 0, padding + 9), mask: piece(mask, 0, padding + 9), continuing: &state)
        let rest: [Tensor] = (9..<17).map { mixer.step(x.selected(axis: 1, index: $0), state: &state) }
        #expect(scaledError(stacked(rest, axis: 1), piece(expected, 9, 8)) < 1e-10, "\(testDescription): steps after left padding")
    }

    /// The state carries gradients from one call to the one before it exactly when it is asked to.
    func checkGradientsThroughState() {
        let mixer: any SequenceMixer = makeMixer()
        func gradient(carrying: Bool) -> Tensor {
            let x: Tensor = stream(length: 8).requiringGrad()
            var state: MixerState = emptyState(mixer)
            state.carriesGradient = carrying
            _ = mixer(piece(x, 0, 5), continuing: &state)
            return gradients(of: [mixer(piece(x, 5, 3), continuing: &state).sum()], withRespectTo: [x])[0]
        }
        let x: Tensor = stream(length: 8).requiringGrad()
        let whole: Tensor = gradients(of: [piece(mixer(x), 5, 3).sum()], withRespectTo: [x])[0]
        #expect(scaledError(gradient(carrying: true), whole) < 1e-10, "\(testDescription): gradient through the state")
        #expect(piece(gradient(carrying: false), 0, 5).countNonzero().item(Int.self) == 0, "\(testDescription): gradient across calls")
    }

    /// The state's size is what ``SequenceMixer/stateBytes(batch:length:)`` says, and constant where it should be.
    func checkStateSize() {
        let mixer: any SequenceMixer = makeMixer()
        mixer.to(dtype: .float32)
        for length in [3, 24] {
            var state: MixerState = mixer.initialState(batch: 2, dtype: .float32, device: .cpu)
            _ = mixer(stream(length: length).asType(.float32), continuing: &state)
            #expect(state.byteCount == mixer.stateBytes(batch: 2, length: length), "\(testDescription): bytes at T = \(length)")
        }
        if constantState { #expect(mixer.stateBytes(batch: 2, length: 3) == mixer.stateBytes(batch: 2, length: 3000)) }
    }

    /// In bfloat16 outputs have that type, the recurrent state stays in float32, and the values are float32's to a few percent.
    func checkHalfPrecision() {
        let (mixer, exact): (any SequenceMixer, any SequenceMixer) = (makeMixer(), makeMixer())
        mixer.to(dtype: .bfloat16)
        // The same weights and inputs, so that only the arithmetic differs.
        exact.to(dtype: .bfloat16).to(dtype: .float32)
        let x: Tensor = stream(length: length ?? 20).asType(.bfloat16)
        for mode in [MixerMode.recurrent, .chunkwise(8)] {
            var state: MixerState? = mixer.initialState(batch: 2, dtype: .bfloat16, device: .cpu)
            let output: Tensor = mixer(x, mask: nil, state: &state, mode: mode)
            let expected: Tensor = exact(x.asType(.float32), mode: mode)
            #expect(output.dtype == .bfloat16, "\(testDescription): \(mode) gives \(output.dtype)")
            let memory: [String: Tensor]? = state?.recurrent.filter { !kept.contains($0.key) }
            #expect(memory?.values.allSatisfy { $0.dtype == .float32 } ?? false, "\(testDescription): state in \(mode)")
            #expect(state?.conv.allSatisfy { $0.dtype == .bfloat16 } ?? false, "\(testDescription): tails in \(mode)")
            let error: Double = ((output.asType(.float32) - expected).norm() / expected.norm()).item()
            #expect(error < 0.03, "\(testDescription): bfloat16 against float32 in \(mode): \(error)")
        }
    }
}
