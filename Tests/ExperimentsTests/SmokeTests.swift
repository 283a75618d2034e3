import Experiments
import Foundation
import TestSupport
import Testing
import Training

/// Every experiment runs at smoke scale and its gates hold.
@Suite(.ownRandomNumbers, .serialized)
struct SmokeTests {
    /// The experiments read their data through `$LINNET_DATA`; the tests fall back to the shared copies.
    static let hasData: Bool = {
        if ProcessInfo.processInfo.environment["LINNET_DATA"] == nil { setenv("LINNET_DATA", TestPaths.data.path, 1) }
        return sets.allSatisfy { (try? DataDirectory.standard.locate($0)) != nil }
    }()

    private static let sets: [String] = [
        "tinyshakespeare", "fsdd", "mnist", "cifar10-jpeg", "ett", "exchange_rate", "wikitext-2", "california_housing", "sklearn",
        "trec_qc", "sst2",
    ]

    @Test(
        .enabled(if: hasData, "needs \(sets.joined(separator: ", ")) in $LINNET_DATA or ../shared/data"),
        arguments: ExperimentCatalogue.slugs)
    func gatesHold(slug: String) async throws {
        let report: Report = try await ExperimentCatalogue.experiment(slug).report(.smoke, context: ExperimentContext(seeds: [0]))
        #expect(!report.gates.isEmpty)
        for gate in report.gates { #expect(gate.passed, "\(gate.statement)\n\(report.text())") }
        #expect(report.claims.isEmpty)
        #expect(report.measurements.methods.count > 1)
    }

    @Test func slugsAreUniqueAndSorted() {
        #expect(ExperimentCatalogue.slugs == Set(ExperimentCatalogue.slugs).sorted())
        #expect(throws: UnknownExperiment.self) { try ExperimentCatalogue.experiment("nothing") }
    }
}
