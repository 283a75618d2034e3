import Foundation
import TestSupport
import Testing
import Torch

@testable import Efficiency
@testable import Training

@Suite("L-GreCo, state and settings", .ownRandomNumbers)
struct LGreCoStateTests {
    private static let shapes: [[Int]] = [[40, 30], [30], [24, 48]]

    /// This rank's gradients of a step.
    private static func gradients(_ step: Int, rank: Int) -> [Tensor] {
        shapes.enumerated().map { layer, shape in
            Tensor.normal(shape, device: .cpu, generator: RandomGenerator(seed: UInt64(100 * step + 10 * layer + rank), device: .cpu))
        }
    }

    private static func configuration(_ text: String) throws -> GradientCompressionConfiguration {
        try JSONDecoder().decode(GradientCompressionConfiguration.self, from: Data(text.utf8))
    }

    private static let frequent: String = #""frequency": 4, "start": 2"#
    private static let choices: [String] = [
        "{\"powersgd\": {\"reference\": 2, \(frequent)}}", "{\"topk\": {\"reference\": 0.05, \(frequent)}}",
        "{\"quantization\": {\"bucket\": 128, \"strong\": 2, \(frequent)}}",
    ]

    @Test("a resumed exchange goes on bit by bit, wherever it was stopped", arguments: choices)
    func resume(choice: String) throws {
        let configuration: GradientCompressionConfiguration = try Self.configuration(choice)
        for stop in [1, 2, 5] {
            let outcomes: [Bool] = try ProcessGroup.onThreads(2) { group in
                func run(_ exchange: LGreCo, _ steps: Range<Int>) throws -> [Float] {
                    try steps.flatMap { step in
                        try exchange.average(Self.gradients(step, rank: group.rank), over: group).flatMap { $0.array(Float.self) }
                    }
                }
                let whole: LGreCo = configuration.makeExchange(rank: group.rank, seed: 3)
                _ = try run(whole, 0..<stop)
                let stored: [String: Tensor] = try whole.state.gathered(by: group)
                // Every rank reads what rank 0 has written.
                let all: [String: Tensor] = try Self.given(stored, by: group)
                let resumed: LGreCo = configuration.makeExchange(rank: group.rank, seed: 3)
                try resumed.load(GradientExchangeState(all, for: group))
                let wanted: [Float] = try run(whole, stop..<9)
                return try run(resumed, stop..<9) == wanted
            }
            #expect(outcomes == [true, true], "stopped after \(stop)")
        }
    }

    /// Rank 0's tensors on all ranks.
    private static func given(_ tensors: [String: Tensor], by group: ProcessGroup) throws -> [String: Tensor] {
        struct Stored: Codable { var names: [String], shapes: [[Int]], types: [Int32], bytes: [[UInt8]] }
        let names: [String] = tensors.keys.sorted()
        let own: Stored = Stored(
            names: names, shapes: names.map { tensors[$0]!.shape }, types: names.map { tensors[$0]!.dtype.rawValue },
            bytes: names.map { tensors[$0]!.contiguous().flattened().reinterpreted(as: .uint8).array(UInt8.self) })
        let first: Stored = try group.allGather(value: own)[0]
        var result: [String: Tensor] = [:]
        for (index, name) in first.names.enumerated() {
            let type: DType = DType(rawValue: first.types[index])!
            result[name] = Tensor(first.bytes[index], device: .cpu).reinterpreted(as: type).reshaped(first.shapes[index])
        }
        return result
    }

    @Test("another number of ranks starts from the mean of the residuals, the same number from its own")
    func otherNumberOfRanks() throws {
        /// A checkpoint of three ranks.
        @Sendable func stored() -> [String: Tensor] {
            var all: [String: Tensor] = ["shared.settings": Tensor([1.0], device: .cpu)]
            for (rank, value) in [Float(1), 2, 6].enumerated() { all["rank\(rank).residual.0"] = Tensor([value, 0], device: .cpu) }
            return all
        }
        let same: [[Float]] = try ProcessGroup.onThreads(3) { group in
            GradientExchangeState(stored(), for: group).own["residual.0"]!.array(Float.self)
        }
        #expect(same == [[1, 0], [2, 0], [6, 0]])
        let fewer: [[Float]] = try ProcessGroup.onThreads(2) { group in
            let state: GradientExchangeState = GradientExchangeState(stored(), for: group)
            #expect(state.shared.keys.sorted() == ["settings"])
            return state.own["residual.0"]!.array(Float.self)
        }
        #expect(fewer == [[3, 0], [3, 0]])
    }

    @Test("the state of another method or of other settings is refused, and nothing is taken over")
    func strangers() throws {
        let low: LGreCo = try Self.configuration(#"{"powersgd": {}}"#).makeExchange(rank: 0, seed: 0)
        let top: LGreCo = try Self.configuration(#"{"topk": {}}"#).makeExchange(rank: 0, seed: 0)
        let other: LGreCo = try Self.configuration(#"{"powersgd": {"alpha": 2}}"#).makeExchange(rank: 0, seed: 0)
        for (state, part) in [(top.state, "by topk, not by powersgd"), (other.state, "powersgd with other settings")] {
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) { try low.load(state) }
            #expect(error?.description.contains(part) == true, "\(String(describing: error))")
        }
        try low.load(low.state)
    }

    @Test("settings out of their range get one clear line")
    func settings() {
        let cases: [(String, String)] = [
            (#"{"gzip": {}}"#, "powersgd, topk, quantization"), (#"{"powersgd": {"rank": 4}}"#, "no field is called \"rank\""),
            (#"{"powersgd": {"reference": 1.5}}"#, "a whole number of at least 1"), (#"{"topk": {"reference": 4}}"#, "a density, above 0"),
            (#"{"quantization": {"reference": 9}}"#, "bits, from 2 to 8"), (#"{"topk": {"alpha": 0}}"#, "alpha is 0"),
            (#"{"topk": {"frequency": 0}}"#, "frequency is 0"), (#"{"topk": {"start": -1}}"#, "start is -1"),
            (#"{"powersgd": {}, "topk": {}}"#, "2 methods are named"), (#"{"topk": {"strong": 2}}"#, "strong is 2"),
        ]
        for (text, part) in cases {
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) { try Self.configuration(text) }
            #expect(error?.description.contains(part) == true, "\(text): \(String(describing: error))")
        }
    }
}
