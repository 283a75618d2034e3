import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The router, its balance, and the way of tokens to their memories and back.
@Suite(.ownRandomNumbers) struct MemoryRoutingTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func router(memories: Int = 5, topK: Int = 2) -> MemoryRouter {
        let router: MemoryRouter = MemoryRouter(dimensions: 6, memories: memories, topK: topK)
        router.to(dtype: .float64, device: .cpu)
        return router
    }

    @Test func weightsSumToOneAndFollowTheLogits() {
        let routing: MemoryRouting = router(topK: 3)(normal([2, 7, 6], seed: 1))
        #expect(relativeError(routing.weights.sum(axis: 2), .ones([2, 7], dtype: .float64, device: .cpu)) < 1e-12)
        // Softmax over the chosen logits alone is the same as renormalising.
        let chosen: Tensor = routing.logits.gather(axis: 2, indices: routing.indices)
        #expect(relativeError(routing.weights, chosen.softmax()) < 1e-12)
        let best: Tensor = routing.indices.selected(axis: 2, index: 0)
        #expect(best.isEqual(to: routing.logits.argMax(axis: 2)))
    }

    @Test func gradientReachesTheRouterThroughTheWeights() throws {
        let router: MemoryRouter = router()
        let x: Tensor = normal([1, 4, 6], seed: 2)
        let factors: Tensor = normal([1, 4, 2], seed: 3)
        let found: Tensor = gradients(of: [(router(x).weights * factors).sum()], withRespectTo: [router.projection.weight])[0]
        #expect(found.abs().max().item(Double.self) > 1e-3)
        try gradientCheck([x]) { [router($0[0]).weights] }
    }

    private func routing(_ logits: Tensor, topK: Int) -> MemoryRouting {
        let probabilities: Tensor = logits.softmax()
        let (values, indices): (Tensor, Tensor) = probabilities.topK(topK)
        return MemoryRouting(
            logits: logits, probabilities: probabilities, indices: indices, weights: values / values.sum(axis: -1, keepDims: true))
    }

    @Test(arguments: [(4, 2), (8, 3), (3, 1)]) func balanceIsTheNumberOfChoicesWhenEven(memories: Int, topK: Int) {
        let even: MemoryRouting = routing(.zeros([2, 6, memories], dtype: .float64, device: .cpu), topK: topK)
        #expect(abs(RoutingBalance(even).loss.item(Double.self) - Double(topK)) < 1e-12)
        // All on the same k memories.
        let one: Tensor = Tensor((0..<memories).map { $0 < topK ? 40.0 : 0.0 }, [1, 1, memories], device: .cpu)
        let collapsed: MemoryRouting = routing(one.expanded(to: [2, 6, memories]), topK: topK)
        #expect(abs(RoutingBalance(collapsed).loss.item(Double.self) - Double(memories)) < 1e-9)
        #expect(RoutingBalance(collapsed).shares.max().map { abs($0 - 1 / Double(topK)) < 1e-12 } == true)
    }

    @Test func balanceIsTheDefinitionSlotBySlot() {
        let routing: MemoryRouting = router()(normal([2, 9, 6], seed: 4))
        let mean: [Double] = routing.probabilities.mean(axes: [0, 1]).array()
        var expected: Double = 0
        for slot in 0..<2 {
            let chosen: [Int] = routing.indices.selected(axis: 2, index: slot).flattened().array()
            for memory in 0..<5 { expected += Double(chosen.count { $0 == memory }) / Double(chosen.count) * mean[memory] }
        }
        #expect(abs(RoutingBalance(routing).loss.item(Double.self) - 5 * expected) < 1e-12)
    }

    @Test func maskedTokensDoNotCountInTheBalance() {
        let (router, x): (MemoryRouter, Tensor) = (router(), normal([1, 9, 6], seed: 5))
        let mask: Tensor = Tensor((0..<9).map { $0 < 6 ? 1.0 : 0.0 }, [1, 9], device: .cpu)
        let masked: RoutingBalance = RoutingBalance(router(x), mask: mask)
        let alone: RoutingBalance = RoutingBalance(router(x.narrowed(axis: 1, start: 0, length: 6)))
        #expect(abs(masked.loss.item(Double.self) - alone.loss.item(Double.self)) < 1e-12)
        // Two calls together are one call of both.
        let rest: RoutingBalance = RoutingBalance(router(x.narrowed(axis: 1, start: 6, length: 3)))
        #expect(abs((alone + rest).loss.item(Double.self) - RoutingBalance(router(x)).loss.item(Double.self)) < 1e-12)
    }

    @Test func theBalanceEvensACollapsedRouterOut() {
        let router: MemoryRouter = router(memories: 3, topK: 1)
        let weight: Tensor = router.projection.weight
        // The last channel is always 1, and pulls everything to the first memory.
        let x: Tensor = concatenated([normal([4, 50, 5], seed: 8), .ones([4, 50, 1], dtype: .float64, device: .cpu)], axis: 2)
        noGrad { weight.copy_(from: normal([3, 6], seed: 9) * 0.3 + Tensor([0.0, 0, 0, 0, 0, 2], device: .cpu) * unit(0)) }
        let start: RoutingBalance = RoutingBalance(router(x))
        #expect(start.shares[0] > 0.8)
        for _ in 0..<40 {
            let gradient: Tensor = gradients(of: [RoutingBalance(router(x)).loss], withRespectTo: [weight])[0]
            noGrad { weight.copy_(from: weight - gradient * 0.3) }
        }
        let end: RoutingBalance = RoutingBalance(router(x))
        #expect(end.shares.max().map { $0 < 0.5 } == true && end.loss.item(Double.self) < start.loss.item(Double.self))
    }

    /// A column of zeros and a one, `[3, 1]`.
    private func unit(_ index: Int) -> Tensor { Tensor((0..<3).map { $0 == index ? 1.0 : 0.0 }, [3, 1], device: .cpu) }

    // MARK: Packing

    private static let choices: [Int] = [0, 2, 2, 1, 0, 1, 1, 2, 2, 0, 1, 0]

    /// Two sequences of three tokens, two of three memories each.
    private func steps(tokens: Tensor? = nil, capacity: Int? = nil) -> RoutedSteps {
        RoutedSteps(indices: Tensor(Self.choices, [2, 3, 2], device: .cpu), memories: 3, tokens: tokens, capacity: capacity)
    }

    @Test func memoriesGetTheirTokensInOrder() {
        let steps: RoutedSteps = steps()
        let x: Tensor = Tensor((1...6).map(Double.init), [2, 3, 1], device: .cpu)
        let packed: Tensor = packByMemory(x, steps) * steps.mask.asType(.float64).expandedDimensions(axis: 3)
        #expect(steps.longest == 2 && steps.counts.array(Int.self) == [2, 2, 2, 2, 2, 2])
        #expect(packed.array(Double.self) == [1, 3, 2, 3, 1, 2, 5, 6, 4, 6, 4, 5])
    }

    @Test func unpackingSumsTheChoicesByTheirWeights() {
        let x: Tensor = normal([2, 3, 4], seed: 6)
        let weights: Tensor = normal([2, 3, 2], seed: 7)
        let steps: RoutedSteps = steps()
        // Each memory multiplies by its number + 1.
        let factors: Tensor = Tensor([1.0, 2, 3], [1, 3, 1, 1], device: .cpu)
        let found: Tensor = unpackByMemory(packByMemory(x, steps) * factors, steps, weights: weights)
        let choices: Tensor = Tensor(Self.choices.map { Double($0 + 1) }, [2, 3, 2], device: .cpu)
        #expect(relativeError(found, x * (choices * weights).sum(axis: 2, keepDims: true)) < 1e-12)
    }

    @Test func maskedTokensGoNowhere() {
        let steps: RoutedSteps = steps(tokens: Tensor([1.0, 1, 0, 0, 0, 0], [2, 3], device: .cpu))
        #expect(steps.counts.array(Int.self) == [1, 1, 2, 0, 0, 0])
        let ones: Tensor = .ones([2, 3, 2], dtype: .float64, device: .cpu)
        let found: Tensor = unpackByMemory(.ones([2, 3, 2, 1], dtype: .float64, device: .cpu), steps, weights: ones)
        #expect(found.array(Double.self) == [2, 2, 0, 0, 0, 0])
    }

    @Test func aFullMemoryKeepsTheNewest() {
        let steps: RoutedSteps = steps(capacity: 1)
        let x: Tensor = Tensor((1...6).map(Double.init), [2, 3, 1], device: .cpu)
        #expect(steps.longest == 1)
        #expect(packByMemory(x, steps).array(Double.self) == [3, 3, 2, 6, 6, 5])
        let ones: Tensor = .ones([2, 3, 2], dtype: .float64, device: .cpu)
        // Tokens 1 and 4 were dropped by both memories they went to.
        #expect(unpackByMemory(packByMemory(x, steps), steps, weights: ones).array(Double.self) == [0, 2, 6, 0, 5, 12])
    }

    @Test func aTokenWhoseWeightUnderflowsIsWrittenAllTheSame() {
        let logits: Tensor = Tensor([0.0, -2000, -4000], [1, 1, 3], device: .cpu)
        let routing: MemoryRouting = routing(logits, topK: 2)
        #expect(routing.weights.array(Double.self) == [1, 0])
        let steps: RoutedSteps = RoutedSteps(indices: routing.indices, memories: 3)
        #expect(steps.counts.sum().item(Int.self) == 2)
    }
}
