import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct ScheduleTests {
    private func factors(_ schedule: Schedule, total: Int, through last: Int? = nil) -> [Double] {
        (0...(last ?? total - 1)).map { schedule.factor(step: $0, of: total) }
    }

    @Test func formulas() {
        #expect(factors(.constant, total: 3) == [1, 1, 1])
        let linear: [Double] = factors(.warmUpLinear(warmUp: 3, finalFraction: 0.2), total: 7, through: 9)
        #expect(largestDifference(linear, [0.25, 0.5, 0.75, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]) < 1e-12)
        let cosine: [Double] = factors(.warmUpCosine(warmUp: 1, finalFraction: 0.1), total: 5, through: 6)
        let half: Double = 0.5.squareRoot()
        #expect(largestDifference(cosine, [0.5, 1, 0.1 + 0.45 * (1 + half), 0.55, 0.1 + 0.45 * (1 - half), 0.1, 0.1]) < 1e-12)
        let stable: [Double] = factors(.warmUpStableDecay(warmUp: 1, decay: 4, finalFraction: 0.2), total: 8, through: 9)
        #expect(largestDifference(stable, [0.5, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2]) < 1e-12)
        let inverse: [Double] = factors(.inverseSquareRoot(warmUp: 4), total: 1, through: 15)
        #expect(largestDifference(Array(inverse[0...3]), [0.25, 0.5, 0.75, 1]) < 1e-12)
        #expect(abs(inverse[15] - 0.5) < 1e-12)
    }

    @Test func withoutWarmUpTheFirstStepHasTheFullRate() {
        #expect(Schedule.warmUpCosine(warmUp: 0).factor(step: 0, of: 10) == 1)
        #expect(Schedule.warmUpLinear(warmUp: 0).factor(step: 10, of: 10) == 0)
    }

    @Test(.enabled(if: PythonReference.isAvailable, "no Python with torch and numpy: set LINNET_PYTHON"), arguments: torchSchedules)
    func torchsSchedulers(_ reference: TorchSchedule) throws {
        let found: [Double] = factors(reference.schedule, total: 41, through: 39)
        #expect(largestDifference(found, try PythonReference.numbers(reference.name)) < 1e-12)
    }

    @Test func settingsAreCheckedAgainstTheRun() {
        let wrong: [Schedule] = [
            .warmUpCosine(warmUp: 10), .warmUpLinear(warmUp: -1), .warmUpCosine(warmUp: 1, finalFraction: 1.1),
            .warmUpStableDecay(warmUp: 4, decay: 7), .oneCycle(riseFraction: 0.1), .oneCycle(startDivisor: 0), .oneCycle(endDivisor: .nan),
            .inverseSquareRoot(warmUp: 0),
        ]
        for schedule in wrong { #expect(throws: ConfigurationError.self) { try schedule.validate(total: 10) } }
        let right: [Schedule] = [
            .constant, .warmUpCosine(warmUp: 9), .warmUpStableDecay(warmUp: 4, decay: 6), .oneCycle(), .inverseSquareRoot(warmUp: 100),
        ]
        for schedule in right { #expect(throws: Never.self) { try schedule.validate(total: 10) } }
    }

    @Test func survivesJSON() throws {
        for schedule in [
            Schedule.constant, .warmUpCosine(warmUp: 3, finalFraction: 0.1), .warmUpStableDecay(warmUp: 1, decay: 2), .oneCycle(),
            .inverseSquareRoot(warmUp: 4),
        ] {
            #expect(try JSONDecoder().decode(Schedule.self, from: JSONEncoder().encode(schedule)) == schedule)
        }
    }
}

/// A schedule over 41 steps with what builds the same in torch.
struct TorchSchedule: Sendable, CustomTestStringConvertible {
    let name: String
    let schedule: Schedule
    let scheduler: String

    var testDescription: String { name }

    /// Python that puts the learning rates of 40 steps into `result`.
    var python: String {
        """
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.)
        \(scheduler)
        result = []
        for _ in range(40):
            result.append(optimizer.param_groups[0]["lr"])
            optimizer.step(); scheduler.step()
        """
    }
}

let torchSchedules: [TorchSchedule] = [
    TorchSchedule(
        name: "cosine", schedule: .warmUpCosine(warmUp: 5, finalFraction: 0.05),
        scheduler: """
            warm = S.LinearLR(optimizer, start_factor=1/6, total_iters=5)
            scheduler = S.SequentialLR(optimizer, [warm, S.CosineAnnealingLR(optimizer, 36, .05)], [5])
            """),
    TorchSchedule(
        name: "linear", schedule: .warmUpLinear(warmUp: 5, finalFraction: 0.1),
        scheduler: """
            warm = S.LinearLR(optimizer, start_factor=1/6, total_iters=5)
            scheduler = S.SequentialLR(optimizer, [warm, S.LinearLR(optimizer, 1, .1, 36)], [5])
            """),
    TorchSchedule(name: "one cycle", schedule: .oneCycle(), scheduler: "scheduler = S.OneCycleLR(optimizer, 1., total_steps=41)"),
    TorchSchedule(
        name: "slow cycle", schedule: .oneCycle(riseFraction: 0.45, startDivisor: 10, endDivisor: 50),
        scheduler: "scheduler = S.OneCycleLR(optimizer, 1., total_steps=41, pct_start=.45, div_factor=10, final_div_factor=50)"),
]
