import Foundation
import TestSupport
import Testing

/// Every fixture of `$LINNET_FIXTURES` against Linnet's function of the same name.
struct FixtureParityTests {
    private static let found: [FixtureCase] = (try? FixtureCase.all(in: TestPaths.fixtures)) ?? []
    private static let isRequired: Bool = ProcessInfo.processInfo.environment["LINNET_FIXTURES"] != nil

    @Test(arguments: found) func agrees(_ fixture: FixtureCase) {
        guard case .failed(let failures) = FixtureOperators.harness.run(fixture) else { return }
        for failure in failures { Issue.record("\(failure)") }
    }

    @Test(.enabled(if: isRequired || !found.isEmpty, "no fixtures in ../shared/fixtures; LINNET_FIXTURES=DIR gives another folder"))
    func thereAreFixturesAndThePendingAreNamed() {
        #expect(!Self.found.isEmpty, "LINNET_FIXTURES: no fixtures in \(TestPaths.fixtures.path)")
        let harness: FixtureHarness = FixtureOperators.harness
        for name in harness.pending {
            let files: Int = Self.found.count { harness.operatorName(of: $0.name) == name }
            print("pending operator: \(name) (\(files) fixtures)")
        }
    }

    @Test func noPendingOperatorHasAHandlerAndNoNameComesTwice() {
        let names: [String] = FixtureOperators.operators.map(\.name) + FixtureOperators.pending
        #expect(Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys.sorted() == [])
    }
}
