import NN
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct AttentionTests {
    private static func random(_ shape: Int..., seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, generator: RandomGenerator(seed: seed))
    }

    private static func layer(window: Int?, theta: Double? = 100) -> MultiHeadAttention {
        let configuration: AttentionConfiguration = AttentionConfiguration(
            dimensions: 8, heads: 4, keyValueHeads: 2, headDimensions: 6, causal: true, window: window, rotaryTheta: theta,
            rotaryDimensions: 4)
        return MultiHeadAttention(configuration, generator: RandomGenerator(seed: 1)).to(dtype: .float64)
    }

    @Test(arguments: [nil, 5, 1, 100])
    func piecesThroughTheCacheEqualTheWhole(window: Int?) {
        let layer: MultiHeadAttention = Self.layer(window: window)
        let x: Tensor = Self.random(2, 37, 8, seed: 2)
        var cache: KVRing = layer.initialCache()
        var offset: Int = 0
        let pieces: [Tensor] = x.split(sizes: [1, 20, 1, 15], axis: 1).map { piece in
            defer { offset += piece.dim(1) }
            return layer(piece, cache: &cache, offset: offset)
        }
        #expect(concatenated(pieces, axis: 1).isClose(to: layer(x), absolute: 1e-12))
        #expect(cache.count == min(window ?? 37, 37))
    }

    @Test func aCopiedCacheIsAFork() {
        let layer: MultiHeadAttention = Self.layer(window: nil)
        let x: Tensor = Self.random(1, 6, 8, seed: 3)
        var cache: KVRing = layer.initialCache()
        _ = layer(x.narrowed(axis: 1, start: 0, length: 4), cache: &cache, offset: 0)
        var fork: KVRing = cache
        _ = layer(Self.random(1, 1, 8, seed: 4), cache: &fork, offset: 4)
        let rest: Tensor = layer(x.narrowed(axis: 1, start: 4, length: 2), cache: &cache, offset: 4)
        #expect(rest.isClose(to: layer(x).narrowed(axis: 1, start: 4, length: 2), absolute: 1e-12))
        #expect(fork.count == 5 && cache.count == 6)
    }

    @Test func paddedTokensLeaveNoTrace() {
        let layer: MultiHeadAttention = Self.layer(window: nil, theta: nil)
        let x: Tensor = Self.random(1, 5, 8, seed: 5)
        let padded: Tensor = concatenated([Self.random(1, 3, 8, seed: 6), x], axis: 1)
        var cache: KVRing = layer.initialCache()
        let mask: Tensor = Tensor([0, 0, 0, 1, 1, 1, 1, 1] as [Double], [1, 8])
        let output: Tensor = layer(padded, cache: &cache, offset: 0, mask: mask)
        #expect(output.narrowed(axis: 1, start: 3, length: 5).isClose(to: layer(x), absolute: 1e-12))
    }

    @Test func aQueryWithoutKeysGivesZerosAndNoNaN() {
        let q: Tensor = Self.random(1, 3, 2, 4, seed: 7).requiringGrad()
        let k: Tensor = Self.random(1, 3, 2, 4, seed: 8).requiringGrad()
        let v: Tensor = Self.random(1, 3, 2, 4, seed: 9)
        let visible: Tensor = Tensor([false, true, true], [1, 1, 1, 3])
        let output: Tensor = softmaxAttention(q, k, v, causal: true, mask: visible)
        #expect(output.selected(axis: 1, index: 0).countNonzero().item(Int.self) == 0)
        let found: [Tensor] = gradients(of: [output.square().sum()], withRespectTo: [q, k])
        let finite: Bool = found.allSatisfy { $0.isFinite().all().item(Bool.self) }
        #expect(finite)
    }

    @Test(arguments: [1, 3, 8], [7, 16, 24])
    func blocksOfAWindowEqualTheMask(window: Int, length: Int) {
        let q: Tensor = Self.random(2, length, 4, 6, seed: 15).requiringGrad()
        let k: Tensor = Self.random(2, length, 2, 6, seed: 16).requiringGrad()
        let v: Tensor = Self.random(2, length, 2, 3, seed: 17).requiringGrad()
        let age: Tensor = Tensor.arange(length).expandedDimensions(axis: 1) - Tensor.arange(length)
        let blocks: Tensor = softmaxAttention(q, k, v, causal: true, window: window)
        let masked: Tensor = softmaxAttention(q, k, v, mask: (age .>= 0) .&& (age .< window))
        #expect(blocks.isClose(to: masked, absolute: 1e-12))
        func gradientsOf(_ output: Tensor) -> [Tensor] { gradients(of: [output.square().sum()], withRespectTo: [q, k, v]) }
        for (left, right) in zip(gradientsOf(blocks), gradientsOf(masked)) { #expect(left.isClose(to: right, absolute: 1e-12)) }
    }

    @Test func additiveAndBooleanMasksAgree() {
        let (q, k, v): (Tensor, Tensor, Tensor) = (
            Self.random(2, 4, 4, 6, seed: 10), Self.random(2, 7, 2, 6, seed: 11), Self.random(2, 7, 2, 3, seed: 12)
        )
        let visible: Tensor = Self.random(2, 1, 4, 7, seed: 13) .> -1
        let added: Tensor = which(visible, Tensor.zeros([1], dtype: .float64), -Double.infinity)
        let boolean: Tensor = softmaxAttention(q, k, v, causal: true, window: 4, mask: visible)
        #expect(boolean.shape == [2, 4, 4, 3])
        #expect(boolean.isClose(to: softmaxAttention(q, k, v, causal: true, window: 4, mask: added), absolute: 1e-12))
    }

    @Test func gradientsCrossTheGroupedHeads() {
        let layer: MultiHeadAttention = Self.layer(window: 3)
        let x: Tensor = Self.random(1, 5, 8, seed: 14)
        let (_, found) = valueAndGrad(of: layer) { layer(x).square().sum() }
        let everywhere: Bool = found.allSatisfy { $0.countNonzero().item(Int.self) == $0.count }
        #expect(found.count == 4 && everywhere)
    }
}

@Suite(.ownRandomNumbers) struct RotaryTests {
    private let x: Tensor = .normal([2, 5, 3, 8], dtype: .float64, generator: RandomGenerator(seed: 1))

    @Test(arguments: [false, true])
    func positionsAndOffsetAgree(interleaved: Bool) {
        let byOffset: Tensor = rotary(x, offset: 7, rotaryDimensions: 6, interleaved: interleaved)
        let places: Tensor = .arange(7, 12, step: 1, dtype: .int64)
        let byPosition: Tensor = rotary(x, positions: places, rotaryDimensions: 6, interleaved: interleaved)
        let byBatch: Tensor = rotary(
            x, positions: places.expanded(to: [2, 5]), rotaryDimensions: 6, interleaved: interleaved)
        #expect(byOffset.isEqual(to: byPosition) && byOffset.isEqual(to: byBatch))
    }

    @Test(arguments: [false, true])
    func productsDependOnTheDistanceAlone(interleaved: Bool) {
        let (q, k): (Tensor, Tensor) = (x, x.flipped(axes: [1]))
        func scores(_ offset: Int) -> Tensor {
            einsum(
                "bthd,bshd->bhts", rotary(q, offset: offset, interleaved: interleaved), rotary(k, offset: offset, interleaved: interleaved))
        }
        #expect(scores(0).isClose(to: scores(1000), absolute: 1e-10))
        #expect(!scores(0).isClose(to: einsum("bthd,bshd->bhts", q, k), absolute: 1e-3))
    }

    @Test func lengthsStay() {
        #expect(rotary(x, offset: 3).norm(axes: [-1]).isClose(to: x.norm(axes: [-1]), absolute: 1e-12))
        #expect(rotary(x.asType(.bfloat16)).dtype == .bfloat16)
    }
}
