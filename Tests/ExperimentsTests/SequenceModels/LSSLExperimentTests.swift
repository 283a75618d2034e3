import TestSupport
import Testing
import Training

@testable import Experiments

@Suite(.ownRandomNumbers) struct LSSLExperimentTests {
    /// Where both data sets are, if anywhere.
    static let data: DataDirectory? = [DataDirectory.standard, DataDirectory.testFallback].compactMap { $0 }.first { directory in
        ["mnist", "fsdd"].allSatisfy { (try? directory.locate($0)) != nil }
    }

    @Test(.enabled(if: data != nil, "needs the data sets mnist and fsdd; set LINNET_DATA"))
    func smokeRunMeasuresEverythingAndPassesItsGates() async throws {
        let directory: DataDirectory = try #require(Self.data)
        let measurements: Measurements = try await LSSLExperiment(data: directory).run(.smoke, context: ExperimentContext(seeds: [1]))
        for gate in LSSLExperiment.criteria.gates { #expect(gate.judge(measurements, seeds: [1]).passed, "\(gate.statement)") }
        #expect(measurements.methods.count == 9)
        #expect(measurements.values.allSatisfy { $0.value.isFinite })
        let count: Double = try #require(measurements.value("LSSL, LegS (speech)", "parameters", seed: 1))
        for baseline in ["GRU (speech)", "LSTM (speech)", "1-D CNN (speech)"] {
            let found: Double = try #require(measurements.value(baseline, "parameters", seed: 1))
            #expect(abs(found / count - 1) < 0.05, "\(baseline) has \(found) parameters, not about \(count)")
        }
    }
}
