import Testing
import Torch

@testable import SequenceModels

/// Sizes of a call and whether it starts from a state.
struct KernelSizes: Sendable {
    var batch: Int = 2
    var length: Int = 37
    var heads: Int = 3
    var key: Int = 8
    var value: Int = 6
    var withState: Bool = false
}

/// An operator with random inputs that suit it, so that one set of tests runs on all of them.
struct KernelUnderTest: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Inputs beside q, k, v and the initial state.
    private let extra: @Sendable (KernelSizes, DType, RandomGenerator) -> [Tensor]
    private let call: @Sendable (_ qkv: [Tensor], _ extra: [Tensor], _ state: Tensor?, _ mask: Tensor?, MixerMode?) -> (Tensor, Tensor)

    func inputs(_ sizes: KernelSizes, dtype: DType = .float64, seed: UInt64 = 1) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let steps: [Int] = [sizes.batch, sizes.length, sizes.heads]
        let keys: Tensor = normal(steps + [sizes.key])
        let unitKeys: Tensor = keys / keys.norm(axes: [3], keepDims: true)
        let base: [Tensor] = [normal(steps + [sizes.key]), unitKeys, normal(steps + [sizes.value])] + extra(sizes, .float64, generator)
        let state: [Tensor] = sizes.withState ? [normal([sizes.batch, sizes.heads, sizes.key, sizes.value])] : []
        return (base + state).map { $0.asType(dtype) }
    }

    func run(_ inputs: [Tensor], _ sizes: KernelSizes, mask: Tensor? = nil, mode: MixerMode?) -> [Tensor] {
        let state: Tensor? = sizes.withState ? inputs.last : nil
        let extra: [Tensor] = Array(inputs.dropFirst(3).dropLast(sizes.withState ? 1 : 0))
        let (output, final): (Tensor, Tensor) = call(Array(inputs.prefix(3)), extra, state, mask, mode)
        return [output, final]
    }

    /// Log-gates from 0 down to about −3, some of them exactly 0.
    private static func gates(_ shape: [Int], _ generator: RandomGenerator) -> Tensor {
        (Tensor.normal(shape, dtype: .float64, device: .cpu, generator: generator) * 1.2).clamped(-20, 0)
    }

    static let deltaRule: KernelUnderTest = KernelUnderTest(testDescription: "delta rule") { sizes, dtype, generator in
        [.uniform([sizes.batch, sizes.length, sizes.heads], dtype: dtype, device: .cpu, generator: generator)]
    } call: {
        SequenceModels.deltaRule(q: $0[0], k: $0[1], v: $0[2], beta: $1[0], initialState: $2, mask: $3, mode: $4)
    }

    static let gatedDeltaRule: KernelUnderTest = KernelUnderTest(testDescription: "gated delta rule") { sizes, dtype, generator in
        let steps: [Int] = [sizes.batch, sizes.length, sizes.heads]
        return [gates(steps, generator), .uniform(steps, dtype: dtype, device: .cpu, generator: generator)]
    } call: {
        SequenceModels.gatedDeltaRule(
            q: $0[0], k: $0[1], v: $0[2], logGate: $1[0], beta: $1[1], initialState: $2, mask: $3, mode: $4)
    }

    static let gatedLinearAttention: KernelUnderTest = gated(subchunk: 16)
    static let finelyGatedLinearAttention: KernelUnderTest = gated(subchunk: 1)

    static func gated(subchunk: Int) -> KernelUnderTest {
        KernelUnderTest(testDescription: "gated linear attention, subchunk \(subchunk)") { sizes, _, generator in
            [gates([sizes.batch, sizes.length, sizes.heads, sizes.key], generator)]
        } call: {
            SequenceModels.gatedLinearAttention(
                q: $0[0], k: $0[1], v: $0[2], logGate: $1[0], initialState: $2, mask: $3, mode: $4, subchunk: subchunk)
        }
    }

    static let simpleGatedLinearAttention: KernelUnderTest = KernelUnderTest(
        testDescription: "simple gated linear attention"
    ) { sizes, _, generator in
        [gates([sizes.batch, sizes.length, sizes.heads], generator)]
    } call: {
        SequenceModels.simpleGatedLinearAttention(
            q: $0[0], k: $0[1], v: $0[2], logGate: $1[0], initialState: $2, mask: $3, mode: $4)
    }

    static let retention: KernelUnderTest = KernelUnderTest(testDescription: "retention") { _, _, _ in
        []
    } call: { qkv, _, state, mask, mode in
        SequenceModels.retention(q: qkv[0], k: qkv[1], v: qkv[2], initialState: state, mask: mask, mode: mode)
    }

    static let linearAttention: KernelUnderTest = KernelUnderTest(testDescription: "linear attention") { _, _, _ in
        []
    } call: { qkv, _, state, mask, mode in
        SequenceModels.linearAttention(q: qkv[0], k: qkv[1], v: qkv[2], initialState: state, mask: mask, mode: mode)
    }

    static let all: [KernelUnderTest] = [
        deltaRule, gatedDeltaRule, gatedLinearAttention, finelyGatedLinearAttention, simpleGatedLinearAttention, retention, linearAttention,
    ]
}
