import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct GaLoreTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func gradient(_ parameter: Tensor, _ step: Int) -> Tensor { (parameter * 3 + Double(step)).sin() }

    /// With all directions of a side, chosen once, GaLore is AdamW on the rotated matrix: `P Q` moves as AdamW moves it under `G Q`.
    @Test(arguments: [GaLoreConfiguration.Projection.left, .right])
    func allDirectionsOfASideAreAdamWInARotatedBasis(_ projection: GaLoreConfiguration.Projection) throws {
        let isRight: Bool = projection == .right
        let shape: [Int] = isRight ? [6, 5] : [5, 6]
        let parameter: Tensor = normal(shape, seed: 1)
        let optimizer: GaLoreAdamW = try GaLoreAdamW(
            parameters: [parameter], names: ["w"],
            configuration: GaLoreConfiguration(learningRate: 0.05, epsilon: 0, rank: 6, updateGap: 100, scale: 1, projection: projection))
        let steps: [Tensor] = (0..<5).map { normal(shape, seed: 10 + UInt64($0)) }
        let start: Tensor = parameter.cloned()
        for step in steps { optimizer.step([step]) }
        let basis: Tensor = optimizer.stateTensors()[isRight ? "w.right_projector" : "w.left_projector"]!
        func rotate(_ matrix: Tensor) -> Tensor { isRight ? matrix.matmul(basis) : basis.transposed().matmul(matrix) }
        let rotated: Tensor = rotate(start).contiguous()
        let adam: AdamW = try AdamW(
            parameters: [rotated], configuration: AdamWConfiguration(learningRate: 0.05, epsilon: 0, weightDecay: 0))
        for step in steps { adam.step([rotate(step)]) }
        #expect(rotate(parameter).isClose(to: rotated, relative: 0, absolute: 1e-11))
    }

    /// With the unit matrix in the place of its directions GaLore on both sides is AdamW exactly.
    @Test func unitDirectionsAreAdamW() throws {
        let parameter: Tensor = normal([5, 5], seed: 2)
        let other: Tensor = parameter.cloned()
        let optimizer: GaLoreAdamW = try GaLoreAdamW(
            parameters: [parameter], names: ["w"],
            configuration: GaLoreConfiguration(learningRate: 0.05, epsilon: 0, rank: 5, updateGap: 100, scale: 1, projection: .full))
        let adam: AdamW = try AdamW(parameters: [other], configuration: AdamWConfiguration(learningRate: 0.05, epsilon: 0, weightDecay: 0))
        optimizer.step([parameter.onesLike()])
        parameter.copy_(from: other)
        let unit: Tensor = .eye(5, dtype: .float64, device: .cpu)
        for (name, state) in optimizer.stateTensors() { state.copy_(from: name.hasSuffix("projector") ? unit : state.zerosLike()) }
        adam.step([other.zerosLike()])
        for state in adam.stateTensors().values { state.zero_() }
        other.copy_(from: parameter)
        for step in 1..<6 {
            let gradient: Tensor = normal([5, 5], seed: UInt64(step))
            optimizer.step([gradient])
            adam.step([gradient])
        }
        #expect(parameter.isClose(to: other, relative: 0, absolute: 1e-13))
    }

    @Test(arguments: GaLoreConfiguration.Projection.allCases) func aStepLiesInTheSpanOfTheDirections(
        _ projection: GaLoreConfiguration.Projection
    ) throws {
        for shape in [[7, 4], [4, 7]] {
            let parameter: Tensor = normal(shape, seed: 3)
            let before: Tensor = parameter.cloned()
            let optimizer: GaLoreAdamW = try GaLoreAdamW(
                parameters: [parameter], names: ["w"], configuration: GaLoreConfiguration(rank: 2, projection: projection))
            optimizer.step([normal(shape, seed: 4)])
            let change: Tensor = parameter - before
            let state: [String: Tensor] = optimizer.stateTensors()
            let left: Tensor? = state["w.left_projector"], right: Tensor? = state["w.right_projector"]
            let isTall: Bool = shape[0] > shape[1]
            let expected: (left: Bool, right: Bool) =
                switch projection {
                case .std: (!isTall, isTall)
                case .reverseStd: (isTall, !isTall)
                case .left: (true, false)
                case .right: (false, true)
                case .full: (true, true)
                }
            #expect((left != nil) == expected.left && (right != nil) == expected.right)
            var projected: Tensor = change
            if let left { projected = left.matmul(left.transposed().matmul(projected)) }
            if let right { projected = projected.matmul(right).matmul(right.transposed()) }
            #expect((projected - change).norm().item(Double.self) < 1e-6 * change.norm().item(Double.self))
            #expect(change.norm().item(Double.self) > 1e-4)
        }
    }

    /// Directions are chosen at steps 1, 1 + gap, … and moments pass over the change as they are.
    @Test func directionsChangeAfterTheGapAndMomentsStay() throws {
        let parameter: Tensor = normal([6, 5], seed: 5)
        let optimizer: GaLoreAdamW = try GaLoreAdamW(
            parameters: [parameter], names: ["w"], configuration: GaLoreConfiguration(beta1: 0.5, rank: 2, updateGap: 3))
        var changes: [Bool] = []
        for step in 0..<7 {
            let before: [String: Tensor] = optimizer.stateTensors().mapValues { $0.cloned() }
            let gradient: Tensor = normal([6, 5], seed: 40 + UInt64(step))
            optimizer.step([gradient])
            let after: [String: Tensor] = optimizer.stateTensors()
            let directions: Tensor = after["w.right_projector"]!
            changes.append(before["w.right_projector"].map { !$0.isEqual(to: directions) } ?? true)
            let old: Tensor = before["w.exp_avg"] ?? after["w.exp_avg"]!.zerosLike()
            #expect(after["w.exp_avg"]!.isClose(to: (old + gradient.matmul(directions)) * 0.5, relative: 0, absolute: 1e-12))
        }
        #expect(changes == [true, false, false, true, false, false, true])
    }

    /// FRUGAL's and Fira's updates by hand, at the first step, where Adam's is the sign of the projected gradient.
    @Test func whatIsOutsideTheSubspaceIsTreatedAsTold() throws {
        let gradient: Tensor = normal([6, 4], seed: 6)
        for residual in GaLoreConfiguration.Residual.allCases {
            let parameter: Tensor = gradient.zerosLike()
            let optimizer: GaLoreAdamW = try GaLoreAdamW(
                parameters: [parameter], names: ["w"],
                configuration: GaLoreConfiguration(learningRate: 1, epsilon: 0, rank: 2, scale: 0.5, residual: residual))
            optimizer.step([gradient])
            let basis: Tensor = optimizer.stateTensors()["w.right_projector"]!
            let low: Tensor = gradient.matmul(basis)
            let rest: Tensor = gradient - low.matmul(basis.transposed())
            var wanted: Tensor = low.sign().matmul(basis.transposed())
            switch residual {
            case .discarded: break
            case .sign: wanted = wanted + rest.sign()
            case .scaled: wanted = wanted + rest * (12.0.squareRoot() / (low.norm().item(Double.self) + 1e-8))
            }
            #expect(parameter.isClose(to: wanted * -0.5, relative: 0, absolute: 1e-9))
        }
    }

    @Test func embeddingsHeadsAndVectorsAreAdamWs() throws {
        let names: [String] = [
            "blocks.0.attention.query.weight", "embedding.weight", "lm_head.weight", "norm.weight", "multi_head_attention.w",
        ]
        let parameters: [Tensor] = names.map { normal($0 == "norm.weight" ? [4] : [8, 4], seed: 7) }
        let copies: [Tensor] = parameters.map { $0.cloned() }
        let galore: GaLoreAdamW = try GaLoreAdamW(
            parameters: parameters, names: names, configuration: GaLoreConfiguration(learningRate: 0.02, weightDecay: 0.1, rank: 2))
        let adam: AdamW = try AdamW(
            parameters: copies, configuration: AdamWConfiguration(learningRate: 0.02, epsilon: 1e-6, weightDecay: 0.1))
        for step in 0..<3 {
            galore.step(copies.map { gradient($0, step) })
            adam.step(copies.map { gradient($0, step) })
        }
        #expect(zip(parameters, copies).map { $0.isEqual(to: $1) } == [false, true, true, true, false])
        #expect(galore.stateTensors().keys.filter { $0.hasSuffix("projector") }.count == 2)
    }

    /// A random projection belongs to the parameter, the step and the seed: a resumed run finds it again.
    @Test(arguments: [ProjectorKind.randomOrthogonal, .blockPower]) func randomDirectionsAreFoundAgain(_ kind: ProjectorKind) throws {
        let configuration: GaLoreConfiguration = try GaLoreConfiguration(rank: 2, updateGap: 2, projector: kind, seed: 4)
        let first: Tensor = normal([6, 5], seed: 8)
        let one: GaLoreAdamW = try GaLoreAdamW(parameters: [first], names: ["w"], configuration: configuration)
        for step in 0..<3 { one.step([gradient(first, step)]) }
        let second: Tensor = first.cloned()
        let two: GaLoreAdamW = try GaLoreAdamW(parameters: [second], names: ["w"], configuration: configuration)
        try two.loadState(one.stateTensors(), scalars: one.scalarState)
        for step in 3..<6 {
            one.step([gradient(first, step)])
            two.step([gradient(second, step)])
        }
        #expect(first.isEqual(to: second))
    }

    /// The point of it: at rank r a tall matrix keeps `2 m r` moments and `n r` directions in the place of `2 m n`.
    @Test func stateIsSmall() throws {
        let parameter: Tensor = .ones([300, 200], device: .cpu)
        for (kind, directions) in [(ProjectorKind.svd, 200 * 8), (.dct, 8)] {
            let optimizer: GaLoreAdamW = try GaLoreAdamW(
                parameters: [parameter], configuration: GaLoreConfiguration(rank: 8, projector: kind))
            optimizer.step([normal([300, 200], seed: 9).asType(.float32)])
            #expect(optimizer.stateByteCount == 4 * (2 * 300 * 8 + directions))
        }
    }

    @Test func badSettingsAreRefused() throws {
        #expect(throws: ConfigurationError("GaLore: rank is 0; it has to be at least 1")) { try GaLoreConfiguration(rank: 0) }
        #expect(throws: ConfigurationError("GaLore: updateGap is 0; it has to be at least 1")) { try GaLoreConfiguration(updateGap: 0) }
        let json: Data = Data(#"{"galore": {"projection": "sideways"}}"#.utf8)
        #expect(throws: ConfigurationError("GaLore: projection is not of type Projection")) {
            try JSONDecoder().decode(OptimizerConfiguration.self, from: json)
        }
    }
}
