import Experiments
import Foundation
import TestSupport
import Testing
import Training

/// What `Experiment.seedsAreIndependent` promises: a seed measured by a run of its own has the numbers that it has among others.
@Suite(.ownRandomNumbers, .serialized)
struct SeedIndependenceTests {
    /// Those that measure something for the first seed alone.
    @Test(.enabled(if: SmokeTests.hasData, "needs the data sets"), arguments: ["deltanet", "lit", "mom", "s-mamba"])
    func aSeedAloneIsThatAmongOthers(slug: String) async throws {
        // In a process of its own: experiments beside it draw from the same global generator.
        await #expect(processExitsWith: .success) { [slug = slug as String] in
            let experiment: any Experiment.Type = try ExperimentCatalogue.experiment(slug)
            let together: Measurements = try await experiment.init().run(.smoke, context: ExperimentContext(seeds: [0, 1]))
            let alone: Measurements = try await experiment.init().run(.smoke, context: ExperimentContext(seeds: [1], firstSeed: 0))
            let expected: [Measurements.Value] = together.values.filter { $0.seed == 1 }
            #expect(alone.values.map { [$0.method, $0.metric] } == expected.map { [$0.method, $0.metric] })
            #expect(alone.values.allSatisfy { $0.seed == 1 } && alone.curves.allSatisfy { $0.seed == 1 })
            for (value, other) in zip(alone.values, expected) where !Self.isTime(value.metric) {
                #expect(value.value == other.value || value.value.isNaN && other.value.isNaN, "\(value.method), \(value.metric)")
            }
        }
    }

    @Test func theExperimentWhoseSeedsShareAModelSaysSo() throws {
        #expect(ExperimentCatalogue.all.filter { !$0.seedsAreIndependent }.map { $0.slug } == ["smetimes"])
    }

    /// Times are never the same twice.
    private static func isTime(_ metric: String) -> Bool { metric.contains("time") || metric.contains("(ms)") }
}
