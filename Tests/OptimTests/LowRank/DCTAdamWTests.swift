import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct DCTAdamWTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func columns(_ optimizer: DCTAdamW) -> [Int] { optimizer.stateTensors()["w.columns"]!.array(Int32.self).map { Int($0) } }

    private func optimizer(_ parameter: Tensor, _ configuration: DCTAdamWConfiguration) throws -> DCTAdamW {
        try DCTAdamW(parameters: [parameter], names: ["w"], configuration: configuration)
    }

    /// All columns: GaLore with the cosine transform is AdamW on the rotated matrix.
    @Test func allColumnsAreAdamWInTheTransformedBasis() throws {
        let parameter: Tensor = normal([7, 5], seed: 1)
        let basis: Tensor = DCTBasis.shared(5, dtype: .float64, device: .cpu).columns
        let rotated: Tensor = parameter.matmul(basis).contiguous()
        let galore: GaLoreAdamW = try GaLoreAdamW(
            parameters: [parameter],
            configuration: GaLoreConfiguration(learningRate: 0.05, epsilon: 0, rank: 5, updateGap: 1, scale: 1, projector: .dct))
        let adam: AdamW = try AdamW(
            parameters: [rotated], configuration: AdamWConfiguration(learningRate: 0.05, epsilon: 0, weightDecay: 0))
        for step in 0..<5 {
            let gradient: Tensor = normal([7, 5], seed: 10 + UInt64(step))
            galore.step([gradient])
            adam.step([gradient.matmul(basis)])
        }
        #expect(parameter.matmul(basis).isClose(to: rotated, relative: 0, absolute: 1e-6))
    }

    /// With fixed columns the update is AdamW's on the projected matrix, weight decay and epsilon included; outside the columns only the decay acts.
    @Test(arguments: [[7, 5], [5, 7]], [DCTMethod.matmul, .makhoul]) func fixedColumnsAreAdamW(_ shape: [Int], _ method: DCTMethod) throws {
        let parameter: Tensor = normal(shape, seed: 2)
        let isWide: Bool = shape[0] < shape[1]
        func rotate(_ matrix: Tensor) -> Tensor {
            (isWide ? matrix.transposed() : matrix).matmul(DCTBasis.shared(5, dtype: .float64, device: .cpu).columns).contiguous()
        }
        let rotated: Tensor = rotate(parameter)
        let dct: DCTAdamW = try optimizer(
            parameter, DCTAdamWConfiguration(learningRate: 0.05, weightDecay: 0.3, rank: 3, columns: .first, method: method))
        let adam: AdamW = try AdamW(parameters: [rotated], configuration: AdamWConfiguration(learningRate: 0.05, weightDecay: 0.3))
        let mask: Tensor = Tensor([1.0, 1, 1, 0, 0], dtype: .float64, device: .cpu)
        for step in 0..<5 {
            let gradient: Tensor = normal(shape, seed: 10 + UInt64(step))
            dct.step([gradient])
            adam.step([rotate(gradient) * mask])
        }
        #expect(rotate(parameter).isClose(to: rotated, relative: 0, absolute: 1e-12))
    }

    /// Moments follow their columns exactly, new columns begin at 0; `R = Q_oldᵀ Q_new` is what carries them, and its entries are 0 and 1.
    @Test func momentsFollowTheirColumns() throws {
        let parameter: Tensor = normal([9, 6], seed: 3)
        let dct: DCTAdamW = try optimizer(parameter, DCTAdamWConfiguration(rank: 3))
        let basis: Tensor = DCTBasis.shared(6, dtype: .float64, device: .cpu).columns
        dct.step([normal([9, 6], seed: 4)])
        var changes: Int = 0
        for step in 0..<8 {
            let old: [Int] = columns(dct)
            let before: [String: Tensor] = dct.stateTensors().mapValues { $0.cloned() }
            let gradient: Tensor = normal([9, 6], seed: 20 + UInt64(step))
            dct.step([gradient])
            let new: [Int] = columns(dct)
            changes += old == new ? 0 : 1
            let rotation: Tensor = Tensor(
                old.flatMap { one in new.map { one == $0 ? 1.0 : 0 } }, [3, 3], dtype: .float64, device: .cpu)
            func select(_ chosen: [Int]) -> Tensor { basis.indexSelect(axis: 1, indices: Tensor(chosen, dtype: .int64, device: .cpu)) }
            #expect(select(old).transposed().matmul(select(new)).isClose(to: rotation, relative: 0, absolute: 1e-12))
            let low: Tensor = gradient.matmul(select(new))
            let first: Tensor = before["w.exp_avg"]!.matmul(rotation) * 0.9 + low * 0.1
            let second: Tensor = before["w.exp_avg_sq"]!.matmul(rotation).abs() * 0.999 + low.square() * 0.001
            #expect(dct.stateTensors()["w.exp_avg"]!.isClose(to: first, relative: 0, absolute: 1e-13))
            #expect(dct.stateTensors()["w.exp_avg_sq"]!.isClose(to: second, relative: 0, absolute: 1e-13))
        }
        #expect(changes > 2)
    }

    @Test func columnsAreChosenAtTheFirstStepAndAtMultiplesOfTheGap() throws {
        let parameter: Tensor = normal([40, 32], seed: 5)
        let dct: DCTAdamW = try optimizer(parameter, DCTAdamWConfiguration(rank: 8, updateGap: 3, columns: .random))
        var seen: [[Int]] = []
        for step in 0..<7 {
            dct.step([normal([40, 32], seed: 30 + UInt64(step))])
            seen.append(columns(dct))
        }
        #expect(zip(seen, seen.dropFirst()).map { $0 != $1 } == [false, true, false, false, true, false])
        #expect(seen.allSatisfy { Set($0).count == 8 && $0 == $0.sorted() })
    }

    /// What is taken and what is kept make the gradient with the last error: nothing is lost but the rounding of the kept part.
    @Test(arguments: [(DCTAdamWConfiguration.ErrorFeedback.full, 0.0), (.bits8, 255), (.bits4, 15)])
    func nothingIsLost(_ feedback: DCTAdamWConfiguration.ErrorFeedback, levels: Double) throws {
        let parameter: Tensor = normal([9, 5], seed: 6)
        let dct: DCTAdamW = try optimizer(parameter, DCTAdamWConfiguration(beta1: 0, rank: 2, errorFeedback: feedback))
        let matrix: Tensor = DCTBasis.shared(5, dtype: .float64, device: .cpu).matrix
        var error: Tensor = parameter.zerosLike()
        for step in 0..<4 {
            let full: Tensor = normal([9, 5], seed: 40 + UInt64(step)) + error
            dct.step([full - error])
            let state: [String: Tensor] = dct.stateTensors()
            error = decoded(state, levels: levels)
            // Without momentum the average is the projected gradient.
            let rest: Tensor = full - state["w.exp_avg"]!.matmul(matrix.indexSelect(axis: 0, indices: state["w.columns"]!))
            let spread: Tensor = rest.max(axis: 1, keepDims: true) - rest.min(axis: 1, keepDims: true)
            let halfStep: Tensor = levels == 0 ? spread * 0 : spread / (2 * levels)
            #expect(((error - rest).abs() .<= (halfStep + 1e-12)).all().item(Bool.self))
            #expect(rest.abs().max().item(Double.self) > 0.1)
        }
    }

    private func decoded(_ state: [String: Tensor], levels: Double) -> Tensor {
        if let error = state["w.error"] { return error.cloned() }
        let bytes: [[Double]] = state["w.error_codes"]!.asType(.float64).array(Double.self).chunked(levels == 15 ? 3 : 5)
        let codes: [Double] = bytes.flatMap { row in
            levels == 15 ? Array(row.flatMap { [$0.truncatingRemainder(dividingBy: 16), ($0 / 16).rounded(.down)] }.prefix(5)) : row
        }
        return Tensor(codes, [9, 5], dtype: .float64, device: .cpu) * state["w.error_step"]! + state["w.error_low"]!
    }

    @Test func stateIsIndicesAndMoments() throws {
        let expected: [(DCTAdamWConfiguration.ErrorFeedback, Int)] = [
            (.none, 0), (.full, 4 * 300 * 201), (.bits8, 300 * 201 + 8 * 300), (.bits4, 300 * 101 + 8 * 300),
        ]
        for (feedback, bytes) in expected {
            let parameter: Tensor = .ones([201, 300], device: .cpu)
            let dct: DCTAdamW = try optimizer(parameter, DCTAdamWConfiguration(rank: 8, errorFeedback: feedback))
            dct.step([normal([201, 300], seed: 7).asType(.float32)])
            #expect(dct.stateByteCount == 2 * 4 * 300 * 8 + 4 * 8 + bytes)
        }
    }

    /// Vectors, embeddings, long sides and ranks that leave nothing out are AdamW's.
    @Test func whatIsNotProjectedIsAdamWs() throws {
        let names: [String] = ["a", "bias", "embed_tokens.weight", "long", "narrow"]
        let shapes: [[Int]] = [[8, 6], [6], [8, 6], [40, 6], [8, 2]]
        let parameters: [Tensor] = shapes.map { normal($0, seed: 8) }
        let copies: [Tensor] = parameters.map { $0.cloned() }
        let dct: DCTAdamW = try DCTAdamW(
            parameters: parameters, names: names, configuration: DCTAdamWConfiguration(weightDecay: 0.1, rank: 2, maximumSide: 40))
        let adam: AdamW = try AdamW(parameters: copies, configuration: AdamWConfiguration(weightDecay: 0.1))
        for step in 0..<3 {
            let gradients: [Tensor] = shapes.map { normal($0, seed: 50 + UInt64(step)) }
            dct.step(gradients)
            adam.step(gradients)
        }
        #expect(zip(parameters, copies).map { $0.isEqual(to: $1) } == [false, true, true, true, true])
    }

    @Test func badSettingsAreRefused() throws {
        #expect(throws: ConfigurationError("DCT-AdamW: rank is 0; it has to be at least 1")) { try DCTAdamWConfiguration(rank: 0) }
        #expect(throws: ConfigurationError("Trion: fallbackRate is -1.0; it has to be at least 0 and finite")) {
            try TrionConfiguration(fallbackRate: -1)
        }
    }
}

@Suite(.ownRandomNumbers) struct TrionTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    /// Newton and Schulz' rounds move singular values near 1 and leave the vectors.
    @Test(arguments: [[6, 4], [4, 6]]) func orthogonalizationKeepsVectors(_ shape: [Int]) {
        let matrix: Tensor = normal(shape, seed: 1)
        let result: Tensor = orthogonalized(matrix)
        let values: [Double] = result.singularValues().array()
        #expect(values.allSatisfy { (0.5...1.3).contains($0) })
        let parts: (u: Tensor, s: Tensor, vh: Tensor) = matrix.svd()
        let turned: Tensor = parts.u.transposed().matmul(result).matmul(parts.vh.transposed())
        #expect((turned - turned.diagonal().diagonalEmbedded()).abs().max().item(Double.self) < 1e-10)
    }

    /// Two steps written out.
    @Test(arguments: [[7, 5], [5, 7]]) func stepsAreTheAlgorithms(_ shape: [Int]) throws {
        let parameter: Tensor = normal(shape, seed: 2)
        var wanted: Tensor = parameter.cloned()
        let trion: Trion = try Trion(
            parameters: [parameter], configuration: TrionConfiguration(learningRate: 0.1, weightDecay: 0.5, rank: 2))
        let basis: Tensor = DCTBasis.shared(5, dtype: .float64, device: .cpu).columns
        var momentum: Tensor = normal([7, 5], seed: 0).zerosLike()
        for step in 0..<3 {
            let gradient: Tensor = normal(shape, seed: 10 + UInt64(step))
            trion.step([gradient])
            momentum = momentum + (shape[0] < shape[1] ? gradient.transposed() : gradient)
            let transformed: Tensor = momentum.matmul(basis)
            let chosen: Tensor = ColumnSelector(rank: 2)(transformed).asType(.int64)
            let low: Tensor = transformed.indexSelect(axis: 1, indices: chosen)
            let directions: Tensor = basis.indexSelect(axis: 1, indices: chosen).transposed()
            momentum = momentum - low.matmul(directions) * 0.05
            let change: Tensor = orthogonalized(low).matmul(directions)
            wanted = wanted * 0.95 - (shape[0] < shape[1] ? change.transposed() : change) * 0.1
        }
        #expect(parameter.isClose(to: wanted, relative: 0, absolute: 1e-12))
    }

    /// Vectors take AdamW's steps at a rate of its own, which follows the optimizer's.
    @Test func vectorsHaveTheFallbacksRate() throws {
        let bias: Tensor = .zeros([2], dtype: .float64, device: .cpu)
        let trion: Trion = try Trion(parameters: [bias], configuration: TrionConfiguration(learningRate: 0.1, fallbackRate: 0.01))
        trion.learningRate = 0.2
        trion.step([bias.onesLike()])
        #expect(largestDifference(bias.array(), [-0.02, -0.02]) < 1e-9)
    }
}

extension [Double] {
    fileprivate func chunked(_ size: Int) -> [[Double]] { Swift.stride(from: 0, to: count, by: size).map { Array(self[$0..<$0 + size]) } }
}
