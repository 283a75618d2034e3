import Foundation
import TestSupport
import Testing
import Torch

/// The harness itself: right files pass whatever their sizes and seeds, and everything wrong with a file is found.
@Suite(
    .ownRandomNumbers,
    .enabled(if: PythonPeer.has("torch", "safetensors"), "needs the Python packages torch and safetensors: make test installs them")
)
struct HarnessTests {
    private let harness: FixtureHarness = FixtureOperators.harness

    private func withFixtures(seed: Int, _ body: ([FixtureCase]) throws -> Void) throws {
        try TestPaths.withTemporaryFolder { folder in
            try PythonPeer.run(ReferenceScripts.make, folder.path, "\(seed)")
            try body(try FixtureCase.all(in: folder))
        }
    }

    private func failures(_ fixture: FixtureCase) -> [String] {
        switch harness.run(fixture) {
        case .passed: []
        case .pending(let name): ["pending: \(name)"]
        case .failed(let failures): failures
        }
    }

    /// Writes the fixture again with `change` made to its tensors.
    private func changed(
        _ fixture: FixtureCase, as name: String? = nil, _ change: (inout [String: Tensor]) throws -> Void
    ) throws -> FixtureCase {
        var tensors: [String: Tensor] = try SafetensorsFile(fixture.file).tensors()
        try change(&tensors)
        let copy: String = name ?? "\(fixture.name)_changed"
        let url: URL = fixture.file.deletingLastPathComponent().appendingPathComponent("\(copy).safetensors")
        try saveTensors(tensors, to: url)
        return FixtureCase(name: copy, file: url)
    }

    @Test(arguments: [1, 2, 3]) func otherSeedsAndShapesOfTheSameOperatorsPass(seed: Int) throws {
        try withFixtures(seed: seed) { fixtures in
            #expect(fixtures.map { harness.operatorName(of: $0.name) } == ["delta_rule", "gla", "l2norm", "retention"])
            for fixture in fixtures { #expect(failures(fixture) == []) }
        }
    }

    @Test func oneChangedNumberInAnyTensorFails() throws {
        try withFixtures(seed: 4) { fixtures in
            for fixture in fixtures {
                for name in try SafetensorsFile(fixture.file).names {
                    let wrong: FixtureCase = try changed(fixture) { tensors in
                        let tensor: Tensor = try #require(tensors[name])
                        let place: Int = tensor.count / 2
                        var values: [Double] = tensor.array()
                        values[place] += 1e-5 * max(1, values.map(abs).max() ?? 1)
                        tensors[name] = Tensor(values, tensor.shape, dtype: tensor.dtype, device: .cpu)
                    }
                    #expect(failures(wrong) != [], "\(fixture.name): \(name)")
                }
            }
        }
    }

    @Test func aTensorThatNoHandlerComputesFails() throws {
        try withFixtures(seed: 5) { fixtures in
            let extra: FixtureCase = try changed(fixtures[0]) { $0["out.extra"] = Tensor.zeros([1]) }
            #expect(failures(extra) == ["\(extra.name): the handler computes no out.extra"])
            let cotangent: FixtureCase = try changed(fixtures[0]) { $0["cot.extra"] = Tensor.zeros([1]) }
            #expect(failures(cotangent) == ["\(cotangent.name): the handler gives no output extra, which has a cotangent"])
            let empty: FixtureCase = try changed(fixtures[0]) { tensors in tensors = tensors.filter { $0.key.hasPrefix("in.") } }
            #expect(failures(empty) == ["\(empty.name): the file expects nothing"])
            let lacking: FixtureCase = try changed(fixtures[0]) { $0["in.q"] = nil }
            #expect(failures(lacking).count == 1 && failures(lacking)[0].contains("in.q"))
        }
    }

    @Test func unknownAndPendingOperatorsAreToldByName() throws {
        try TestPaths.withTemporaryFolder { folder in
            try saveTensors(["out.y": Tensor.zeros([1])], to: folder.appendingPathComponent("frobnicate_b1_t2.safetensors"))
            let fixtures: [FixtureCase] = try FixtureCase.all(in: folder)
            #expect(
                failures(try #require(fixtures.first)).first?.hasPrefix("frobnicate_b1_t2: unknown operator; known are delta_rule, ")
                    == true)
        }
        for name in harness.pending { #expect(harness.operatorName(of: "\(name)_b1_t2") == name) }
        #expect(harness.operatorName(of: "gated_delta_rule_b1") == "gated_delta_rule")
        #expect(harness.operatorName(of: "rmsnorm_gated_b1_t7_d24") == "rmsnorm_gated")
        #expect(harness.operatorName(of: "glance_b1") == nil)
    }

    @Test func aBrokenFileIsAFailureAndNoTrap() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("gla_b1_t1.safetensors")
            try Data("not safetensors".utf8).write(to: url)
            #expect(failures(FixtureCase(name: "gla_b1_t1", file: url)).count == 1)
        }
    }
}
