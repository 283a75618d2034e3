import NN
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct PredictorTests {
    /// Every example exactly once and in order, whatever the sizes; every copy has as many batches.
    @Test func plansCoverEveryExampleOnce() {
        for count in [0, 1, 2, 5, 7, 8, 9, 23] {
            for copies in 1...4 {
                for perDevice in [1, 3, 8] {
                    let plan: PredictionPlan = PredictionPlan(count: count, copies: copies, perDevice: perDevice, seed: 3)
                    #expect(plan.batches * copies * perDevice >= count)
                    #expect((plan.batches - 1) * copies * perDevice < max(count, 1))
                    let outputs: [[Int]] = (0..<copies).map { copy in (0..<plan.batches).flatMap { plan.batch($0, copy: copy) } }
                    #expect(outputs.allSatisfy { $0.count == plan.batches * perDevice })
                    #expect(Set(outputs.flatMap(\.self)) == Set(0..<count))
                    #expect(plan.arranged(outputs) == Array(0..<count))
                }
            }
        }
    }

    private static func predictor(_ deployer: Deployer, _ model: Linear) -> Predictor<Linear, Double, Tensor, Double> {
        Predictor(deployer, model: model, collate: { Tensor($0, [$0.count, 1], dtype: .float64) }) { model, batch, _ in
            #expect(!model.isTraining && !isGradEnabled)
            return model(batch).flattened().array(Double.self)
        }
    }

    @Test(arguments: [1, 5, 8, 13]) func outputsComeInOrderOnEveryRank(count: Int) throws {
        let examples: [Double] = (0..<count).map(Double.init)
        let found: [[Double]] = try ProcessGroup.onThreads(4) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 4, mp: 1), group: group, seed: 1)
            let model: Linear = Linear(weight: Tensor([2.0], [1, 1], dtype: .float64))
            return try Self.predictor(deployer, model)(examples, perDevice: 2)
        }
        for rank in found { #expect(rank == examples.map { 2 * $0 }) }
    }

    @Test func numbersThatAreNotFiniteTravel() throws {
        let found: [[Double]] = try ProcessGroup.onThreads(2) { group in
            let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 1), group: group)
            let model: Linear = Linear(weight: Tensor([1.0], [1, 1], dtype: .float64))
            return try Self.predictor(deployer, model)([.infinity, 1, .nan], perDevice: 1)
        }
        for rank in found { #expect(rank[0] == .infinity && rank[1] == 1 && rank[2].isNaN) }
    }

    @Test func aWrongNumberOfOutputsIsAnError() throws {
        let deployer: Deployer = try Deployer()
        let predictor: Predictor<Linear, Double, Tensor, Double> = Predictor(
            deployer, model: Linear(1, 1), collate: { Tensor($0, [$0.count, 1], dtype: .float64) }, predict: { _, _, _ in [1] })
        #expect(throws: ShardingError.self) { try predictor([1, 2], perDevice: 2) }
    }

    @Test func ranksWithOtherDataAreAnError() throws {
        #expect(throws: ShardingError.self) {
            _ = try ProcessGroup.onThreads(2) { group in
                let deployer: Deployer = try Deployer(mesh: Mesh(dp: 2, mp: 1), group: group)
                return try Self.predictor(deployer, Linear(1, 1))(Array(repeating: 1, count: 1 + group.rank), perDevice: 1)
            }
        }
    }
}
