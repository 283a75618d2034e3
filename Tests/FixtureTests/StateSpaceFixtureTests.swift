import Foundation
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// HiPPO matrices, discretisations and Krylov kernels against the shared reference tensors.
@Suite(.enabled(if: StateSpaceFixtureTests.isPresent, "no fixtures; set LINNET_FIXTURES"))
struct StateSpaceFixtureTests {
    static let isPresent: Bool = FileManager.default.fileExists(
        atPath: TestPaths.fixtures.appendingPathComponent("hippo_legs_n4.safetensors").path)

    private func load(_ name: String) throws -> [String: Tensor] {
        try loadTensors(TestPaths.fixtures.appendingPathComponent("\(name).safetensors"))
    }

    /// Largest difference over the largest entry.
    private func error(_ found: Tensor, _ expected: Tensor) -> Double {
        guard found.shape == expected.shape else { return .infinity }
        let wide: Tensor = expected.to(device: .cpu, dtype: .float64)
        return ((found.to(device: .cpu, dtype: .float64) - wide).abs().max() / wide.abs().max()).item()
    }

    @Test(arguments: [HiPPO.legs, .legt], [4, 16, 64])
    func hippo(_ measure: HiPPO, _ order: Int) throws {
        let file: [String: Tensor] = try load("hippo_\(measure.rawValue)_n\(order)")
        let (A, B): (Tensor, Tensor) = measure.matrices(order: order, device: .cpu)
        #expect(try error(A, #require(file["out64.A"])) < 1e-12)
        #expect(try error(B, #require(file["out64.B"])) < 1e-12)
        for step in ["0.01", "0.1", "1.0"] {
            let dt: Double = try #require(Double(step))
            for alpha in ["0.0", "0.25", "0.5", "1.0"] {
                let found: (A: Tensor, B: Tensor) = generalizedBilinear(A: A, B: B, dt: dt, alpha: try #require(Double(alpha)))
                #expect(try error(found.A, #require(file["out64.gbt.dt\(step).a\(alpha).Ad"])) < 1e-10)
                #expect(try error(found.B, #require(file["out64.gbt.dt\(step).a\(alpha).Bd"])) < 1e-10)
            }
            let exact: (A: Tensor, B: Tensor) = zeroOrderHold(A: A, B: B, dt: dt)
            #expect(try error(exact.A, #require(file["out64.zoh.dt\(step).Ad"])) < 1e-8)
            #expect(try error(exact.B, #require(file["out64.zoh.dt\(step).Bd"])) < 1e-8)
        }
    }

    @Test(
        arguments: ["legs", "legt"].flatMap { name in
            [4, 16, 64].flatMap { ["krylov_\(name)_n\($0)_dt0.01", "krylov_\(name)_n\($0)_dt0.1"] }
        })
    func krylovKernel(_ name: String) throws {
        let file: [String: Tensor] = try load(name)
        func input(_ key: String) throws -> Tensor { try #require(file["in.\(key)"]).to(device: .cpu, dtype: .float64) }
        let leaves: [Tensor] = try ["A", "B", "C"].map { try input($0).requiringGrad() }
        let kernel: Tensor = stateSpaceKernel(A: leaves[0], B: leaves[1], C: leaves[2].expandedDimensions(axis: 0), length: 128).squeezed(
            axis: 0)
        #expect(try error(kernel, #require(file["out64.K"])) < 1e-10)
        let loss: Tensor = try (kernel * #require(file["cot.K"]).to(device: .cpu, dtype: .float64)).sum()
        for (key, gradient) in zip(["A", "B", "C"], gradients(of: [loss], withRespectTo: leaves)) {
            #expect(try error(gradient, #require(file["grad64.\(key)"])) < 1e-9, "gradient of \(key)")
        }
        let system: DiscreteStateSpace = DiscreteStateSpace(
            A: try input("A").expandedDimensions(axis: 0), B: try input("B").expandedDimensions(axis: 0),
            C: try input("C").reshaped(1, 1, -1))
        let signal: Tensor = try input("u").expandedDimensions(axis: 1)
        for result in [system.convolve(signal), system.recur(signal)] {
            let output: Tensor = try result.output.reshaped(3, 128) + input("D") * input("u")
            #expect(try error(output, #require(file["out64.y"])) < 1e-10)
            #expect(try error(result.state.squeezed(axis: 1), #require(file["out64.state"])) < 1e-10)
        }
    }
}
