import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct LayerwiseTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func tensor(_ elements: [Double], _ shape: [Int]) -> Tensor { Tensor(elements, shape, dtype: .float64, device: .cpu) }

    /// One step on two tensors by hand.
    @Test func oneStepByHand() throws {
        let x: [[Double]] = [[3, -4], [1, 2]], g: [[Double]] = [[0.5, 0.1], [-2, 0]]
        let parameters: [Tensor] = x.map { tensor($0, [1, 2]) }
        let lamb: LAMB = try LAMB(
            parameters: parameters, configuration: LAMBConfiguration(learningRate: 0.1, epsilon: 0.01, weightDecay: 0.2))
        lamb.step(g.map { tensor($0, [1, 2]) })
        for index in 0..<2 {
            // After one step m̂ = g and v̂ = g².
            let update: [Double] = zip(x[index], g[index]).map { $1 / (abs($1) + 0.01) + 0.2 * $0 }
            let ratio: Double = norm(x[index]) / norm(update)
            let wanted: [Double] = zip(x[index], update).map { $0 - 0.1 * ratio * $1 }
            #expect(largestDifference(parameters[index].array(), wanted) < 1e-12)
        }
    }

    private func norm(_ values: [Double]) -> Double { values.map { $0 * $0 }.reduce(0, +).squareRoot() }

    /// Every adapted layer moves by `learningRate · φ(‖x‖)`, whatever its gradient.
    @Test func layersMoveByTheirNorms() throws {
        let parameters: [Tensor] = [normal([4, 3], seed: 1), normal([6, 2], seed: 2) * 100]
        for (lowest, highest) in [(nil, nil), (nil, 5), (20, 50)] as [(Double?, Double?)] {
            let lamb: LAMB = try LAMB(
                parameters: parameters, configuration: LAMBConfiguration(learningRate: 0.1, lowestNorm: lowest, highestNorm: highest))
            for step in 0..<3 {
                let before: [Tensor] = parameters.map { $0.cloned() }
                lamb.step([normal([4, 3], seed: 10 + UInt64(step)), normal([6, 2], seed: 20 + UInt64(step)) * 1e-3])
                for (old, new) in zip(before, parameters) {
                    let size: Double = min(max(old.norm().item(), lowest ?? 0), highest ?? .infinity)
                    #expect(abs((new - old).norm().item(Double.self) - 0.1 * size) < 1e-12 * size)
                }
            }
        }
    }

    /// Without decay and epsilon: `x -> c x`, `g -> g / c` gives c times the trajectory.
    @Test func scalesWithTheParameters() throws {
        let one: Tensor = normal([4, 3], seed: 3), other: Tensor = one * 8
        let settings: LAMBConfiguration = try LAMBConfiguration(learningRate: 0.1, epsilon: 0, weightDecay: 0)
        let first: LAMB = try LAMB(parameters: [one], configuration: settings)
        let second: LAMB = try LAMB(parameters: [other], configuration: settings)
        for step in 0..<5 {
            let gradient: Tensor = normal([4, 3], seed: 30 + UInt64(step))
            first.step([gradient])
            second.step([gradient / 8.0])
        }
        #expect(other.isClose(to: one * 8, relative: 0, absolute: 1e-11))
    }

    /// Each step's rate divided by the ratio that the step is going to have: Adam with the decay inside the step.
    @Test func aRatioOfOneIsAdamWithDecay() throws {
        let parameter: Tensor = normal([4, 3], seed: 4), other: Tensor = parameter.cloned()
        let lamb: LAMB = try LAMB(parameters: [parameter], configuration: LAMBConfiguration(learningRate: 0.05, weightDecay: 0.3))
        let adam: AdamW = try AdamW(
            parameters: [other], configuration: AdamWConfiguration(learningRate: 0.05, epsilon: 1e-6, weightDecay: 0.3))
        for step in 0..<5 {
            let gradient: Tensor = normal([4, 3], seed: 40 + UInt64(step))
            let probe: LAMB = try LAMB(parameters: [parameter.cloned()], configuration: lamb.configuration)
            try probe.loadState(lamb.stateTensors(), scalars: lamb.scalarState)
            probe.step([gradient])
            lamb.learningRate = 0.05 / (try #require(probe.stateTensors()["0.trust_ratio"])).item(Double.self)
            lamb.step([gradient])
            adam.step([gradient])
            #expect(parameter.isClose(to: other, relative: 0, absolute: 1e-10))
        }
    }

    /// A layer that starts at 0 moves, and one without a gradient stays.
    @Test func zeroNormsHaveARatioOfOne() throws {
        let zero: Tensor = .zeros([2, 2], dtype: .float64, device: .cpu), still: Tensor = .ones([2, 2], dtype: .float64, device: .cpu)
        let lamb: LAMB = try LAMB(parameters: [zero], configuration: LAMBConfiguration(learningRate: 0.1, epsilon: 0, weightDecay: 0))
        lamb.step([zero.onesLike()])
        #expect(largestDifference(zero.array(), [-0.1, -0.1, -0.1, -0.1]) < 1e-12)
        let lars: LARS = try LARS(parameters: [still], configuration: LARSConfiguration(learningRate: 0.1))
        let before: [Double] = still.array()
        lars.step([still.zerosLike()])
        #expect(still.array(Double.self) == before)
    }

    /// Without averages and epsilon Adam's direction is the gradient's sign.
    @Test func withoutAveragesTheDirectionIsTheSign() throws {
        let parameter: Tensor = normal([3, 3], seed: 5), before: Tensor = parameter.cloned(), gradient: Tensor = normal([3, 3], seed: 6)
        let lamb: LAMB = try LAMB(
            parameters: [parameter], configuration: LAMBConfiguration(learningRate: 0.1, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0))
        lamb.step([gradient])
        #expect(parameter.isClose(to: before - gradient.sign() * (0.1 * before.norm().item(Double.self) / 3), relative: 0, absolute: 1e-12))
    }

    @Test func larsWithoutMomentumNormalisesTheGradient() throws {
        let parameter: Tensor = normal([3, 3], seed: 7), before: Tensor = parameter.cloned(), gradient: Tensor = normal([3, 3], seed: 8)
        let lars: LARS = try LARS(
            parameters: [parameter], configuration: LARSConfiguration(learningRate: 0.1, momentum: 0, weightDecay: 0.5))
        lars.step([gradient])
        let direction: Tensor = gradient + before * 0.5
        let size: Double = before.norm().item(Double.self) / direction.norm().item(Double.self)
        #expect(parameter.isClose(to: before - direction * (0.1 * size), relative: 0, absolute: 1e-12))
    }

    @Test func excludedParametersFollowAdam() throws {
        let shapes: [[Int]] = [[4], [4, 3], [4, 3]]
        let parameters: [Tensor] = shapes.map { normal($0, seed: 9) }
        let copies: [Tensor] = parameters.map { $0.cloned() }
        let lamb: LAMB = try LAMB(
            parameters: parameters, names: ["bias", "norm.scale", "w"],
            configuration: LAMBConfiguration(learningRate: 0.01, weightDecay: 0.5, exclude: ["norm"]))
        let adam: Adam = try Adam(parameters: copies, configuration: AdamConfiguration(learningRate: 0.01, epsilon: 1e-6))
        for step in 0..<3 {
            let gradients: [Tensor] = shapes.map { normal($0, seed: 60 + UInt64(step)) }
            lamb.step(gradients)
            adam.step(gradients)
        }
        #expect(zip(parameters, copies).map { $0.isClose(to: $1, relative: 0, absolute: 1e-14) } == [true, true, false])
    }

    /// Computed by another path: the base's update is found as what a step of rate 1 takes away.
    @Test func theGeneralStrategyOnAdamWIsLAMB() throws {
        let one: [Tensor] = [normal([4, 3], seed: 10), normal([4], seed: 11)], two: [Tensor] = one.map { $0.cloned() }
        let settings: LAMBConfiguration = try LAMBConfiguration(learningRate: 0.02, weightDecay: 0.1, excludesVectors: false)
        let lamb: LAMB = try LAMB(parameters: one, configuration: settings)
        let base: AdamWConfiguration = try AdamWConfiguration(learningRate: 0.02, epsilon: 1e-6, weightDecay: 0.1)
        let general: FusedOptimizer<LayerwiseAdaptive<AdamWConfiguration>> = try FusedOptimizer(
            parameters: two, configuration: LayerwiseAdaptive(base: base, excludesVectors: false))
        for step in 0..<5 {
            let gradients: [Tensor] = [normal([4, 3], seed: 70 + UInt64(step)), normal([4], seed: 80 + UInt64(step))]
            lamb.step(gradients)
            general.step(gradients)
        }
        for (left, right) in zip(one, two) { #expect(left.isClose(to: right, relative: 0, absolute: 1e-11)) }
        #expect(lamb.stateTensors()["0.trust_ratio"]!.isClose(to: general.stateTensors()["0.trust_ratio"]!, relative: 1e-10))
    }

    @Test func ratiosAreLogged() throws {
        let parameters: [Tensor] = [normal([4, 3], seed: 12), normal([4], seed: 13)]
        let lamb: LAMB = try LAMB(parameters: parameters, names: ["w", "b"], configuration: LAMBConfiguration(learningRate: 0.1))
        var log: TrustRatioLog = TrustRatioLog()
        for step in 0..<3 {
            lamb.step([normal([4, 3], seed: 90 + UInt64(step)), normal([4], seed: 95)])
            log.record(lamb)
        }
        #expect(log.ratios.keys.sorted() == ["w"])
        #expect(log.ratios["w"]?.count == 3 && Set(log.ratios["w"] ?? []).count == 3)
    }
}

@Suite(.ownRandomNumbers) struct LargeBatchScheduleTests {
    /// The paper's table: the rate by the root, the warm-up's share by the batch.
    @Test func ratesFollowTheRoot() throws {
        let reference: Double = 5 / (8 * 1000)
        for (doublings, share) in [(0, 320.0), (2, 80), (6, 5)] {
            let batch: Int = 512 << doublings
            let plan: LargeBatchSchedule = try LargeBatchSchedule(
                referenceRate: reference, referenceBatch: 512, batch: batch, samples: 512 * 64_000, warmupFraction: 1 / 320.0)
            #expect(abs(plan.learningRate - reference * pow(2, Double(doublings) / 2)) < 1e-12)
            #expect(plan.steps == 64_000 >> doublings)
            #expect(plan.warmUp == Int((Double(plan.steps) / share).rounded()))
        }
    }

    @Test func theSecondStageWarmsUpAgain() throws {
        let stage: LargeBatchSchedule = try LargeBatchSchedule(
            referenceRate: 1, referenceBatch: 4, batch: 4, samples: 80, warmupFraction: 0.2)
        let second: LargeBatchSchedule = try LargeBatchSchedule(
            referenceRate: 1, referenceBatch: 4, batch: 16, samples: 160, warmupFraction: 0.1)
        let mixed: MixedBatchSchedule = MixedBatchSchedule(stages: [stage, second])
        #expect(mixed.steps == 30 && second.learningRate == 2 && second.warmUp == 4)
        let rates: [Double] = (0..<30).map { mixed.learningRate(step: $0) }
        #expect(rates[4] == 1 && rates[19] < 0.1 && abs(rates[20] - 0.4) < 1e-12 && rates[24] == 2 && rates[29] < 0.5)
        #expect(mixed.learningRate(step: 31) == 0)
    }

    @Test func badSettingsAreRefused() {
        #expect(throws: ConfigurationError("large-batch schedule: batch is 0; it has to be at least 1")) {
            try LargeBatchSchedule(referenceRate: 1, referenceBatch: 4, batch: 0, samples: 80, warmupFraction: 0.2)
        }
        #expect(throws: ConfigurationError("LAMB: lowestNorm is 3.0; it has to be at most highestNorm")) {
            try LAMBConfiguration(lowestNorm: 3, highestNorm: 2)
        }
        #expect(throws: ConfigurationError("LARS: trustCoefficient is 0.0; it has to be above 0 and finite")) {
            try LARSConfiguration(trustCoefficient: 0)
        }
    }
}
