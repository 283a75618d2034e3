import Efficiency
import Foundation
import Torch
import Training

/// Transformers divided among ranks by two rules, and training programs that are three functions (arXiv 2310.16355).
///
/// Ranks are threads of one process, or the processes of `linnet launch -n 4 -- linnet reproduce redco`. No speed-up is to be expected of four ranks on
/// few cores: what the ranks send is counted, and the time of a network is modelled.
///
/// Training follows the recipe of the shared small model (AdamW at 3e-3 after 50 steps of warm-up), of which 30 steps see the warm-up only. A run from
/// weights that are one rounding error off shows how much of a difference in float32 is rounding, runs in float64 how much is not.
public struct RedcoExperiment: Experiment {
    public static let slug: String = "redco"
    public static let usesProcessGroup: Bool = true
    public static let summary: String =
        "Four families of transformers, written without a thought of ranks, trained on meshes of 4 ranks beside one process; seven training programs in three functions beside a plain loop."

    private static let families: [String] = ["GPT", "Llama", "encoder-decoder", "OPT"]
    private static let meshes: [Mesh] = [Mesh(dp: 4, mp: 1), Mesh(dp: 2, mp: 2), Mesh(dp: 1, mp: 4)]
    private static let curves: String = "losses against one process (largest relative difference)"
    private static let exact: String = "losses in float64 against one process (largest relative difference)"
    private static let nudged: String = "losses of one process from weights a rounding error off (largest relative difference)"
    private static let memory: String = "bytes of parameters and optimizer per rank, against one process"
    private static let forward: String = "collectives of a block, forward"
    private static let backward: String = "collectives of a block, backward"
    private static let predictions: String = "predictions equal to one process's"
    private static let modelBytes: String = "MB a rank sends within a copy, a step"
    private static let dataBytes: String = "MB a rank sends between copies, a step"
    private static let modelled: String = "modelled seconds of communication a step (10 Gbit/s)"
    private static let seconds: String = "seconds a step, all ranks on this machine"
    private static let finite: String = "runs on 4 ranks with finite losses (1 = yes)"
    private static let lines: String = "lines that are not blank"
    private static let score: String = "score"
    private static let ratio: String = "lines against the plain loop's"
    private static let agreement: String = "losses against the plain loop's (largest relative difference)"

    private static func label(_ family: String, _ mesh: Mesh) -> String { "\(family) \(mesh)" }

    /// A quantity of all families on all meshes.
    private static func all(_ metric: String, _ seed: SeedMeasurements) -> [Double] {
        families.flatMap { family in meshes.map { seed[label(family, $0), metric] } }
    }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("on every mesh and in every family all losses agree with one process's to 1e-3") { seed in
                all(curves, seed).allSatisfy { $0 <= 1e-3 }
            },
            Gate("in float64 they agree to 1e-9") { seed in all(exact, seed).allSatisfy { $0 <= 1e-9 } },
            Gate("a block of GPT needs two collectives forward and two backward") {
                let name: String = label("GPT", Mesh(dp: 1, mp: 4))
                return $0[name, forward] == 2 && $0[name, backward] == 2
            },
            Gate("so does a block of every other decoder, and of a pair of encoder and decoder blocks five") { seed in
                ["Llama", "OPT"].allSatisfy {
                    seed[label($0, Mesh(dp: 1, mp: 4)), forward] == 2 && seed[label($0, Mesh(dp: 1, mp: 4)), backward] == 2
                }
                    && seed[label("encoder-decoder", Mesh(dp: 1, mp: 4)), forward] == 2.5
            },
            Gate("the seven pipelines run on a mesh of (4, 1)") { seed in
                PipelineLines.files.allSatisfy { seed[$0.name, finite] == 1 }
            },
            Gate("the language model's pipeline computes what the plain loop computes, to 1e-3") {
                $0["LanguageModelingPipeline", agreement] <= 1e-3
            },
        ],
        claims: [
            Claim("GPT at (1, 4): bytes per rank at most 0.30 of one process's (0.30 minus it)", atLeast: 0) {
                0.30 - $0[label("GPT", Mesh(dp: 1, mp: 4)), memory]
            },
            Claim("predictions of the same weights are the same on every mesh (smallest share)", atLeast: 1) {
                all(predictions, $0).min() ?? .nan
            },
            Claim("collectives of a block, forward, where channels are joined after every layer", atLeast: 6) {
                $0["OPT joined everywhere", forward]
            },
            Claim("the longest pipeline has at most 120 lines (120 minus it)", atLeast: 0) { seed in
                120 - (PipelineLines.files.map { seed[$0.name, lines] }.max() ?? .nan)
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: RedcoSetting = RedcoSetting(scale)
        let launch: RedcoRanks = try RedcoRanks()
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.length, limit: 1)
        for seed in context.seeds {
            let rows: [[Int32]] = Self.rows(corpus, setting, seed)
            for family in RedcoFamily.all(vocabulary: corpus.vocabularySize, dimensions: setting.dimensions, length: setting.length) {
                try context.checkCancellation()
                context.progress("\(family.name), seed \(seed): \(setting.steps) steps on one process and three meshes")
                let parity: RedcoParity = RedcoParity(setting: setting, family: family, rows: rows, seed: seed, launch: launch)
                try compare(parity, &measurements)
            }
            try context.checkCancellation()
            context.progress("pipelines, seed \(seed)")
            try RedcoPipelines(setting: setting, rows: rows, vocabulary: corpus.vocabularySize, seed: seed, launch: launch).run {
                measurements.record($0, $1, seed: seed, $2)
            }
        }
        return measurements
    }

    /// Rows of `length + 1` characters from random places.
    private static func rows(_ corpus: CharacterCorpus, _ setting: RedcoSetting, _ seed: UInt64) -> [[Int32]] {
        var random: SplitMix64 = SplitMix64(seed: seed &+ 77)
        return (0..<setting.rowLimit).map { _ in
            let start: Int = Int(random.next(below: UInt64(corpus.training.count - setting.length)))
            return (start...start + setting.length).map { Int32(corpus.training[$0]) }
        }
    }

    private func compare(_ parity: RedcoParity, _ measurements: inout Measurements) throws {
        let (seed, family): (UInt64, String) = (parity.seed, parity.family.name)
        let alone: Mesh = Mesh(dp: 1, mp: 1)
        let single: RedcoParity.Outcome = try parity.run(on: alone)[0]
        record(losses: single.losses, "\(family), one process", seed, &measurements)
        measurements.record("\(family), one process", Self.seconds, seed: seed, single.seconds)
        measurements.record(
            "\(family), one process", Self.nudged, seed: seed,
            Self.difference(try parity.losses(on: alone, .nudged), single.losses))
        let precise: [Double] = try parity.losses(on: alone, .float64)
        for mesh in Self.meshes {
            let ranks: [RedcoParity.Outcome] = try parity.run(on: mesh, weights: single.weights)
            let name: String = Self.label(family, mesh)
            func record(_ metric: String, _ value: Double) { measurements.record(name, metric, seed: seed, value) }
            record(Self.curves, ranks.map { Self.difference($0.losses, single.losses) }.max() ?? .nan)
            record(Self.exact, Self.difference(try parity.losses(on: mesh, .float64), precise))
            record(Self.memory, Double(ranks.map(\.bytes).max() ?? 0) / Double(single.bytes))
            record(Self.predictions, ranks.map { Self.share($0.predictions, single.predictions) }.min() ?? .nan)
            if mesh.mp > 1 {
                record(Self.forward, ranks[0].forward)
                record(Self.backward, ranks[0].backward)
            }
            let steps: Double = Double(parity.setting.steps)
            let (model, data): (CommStats, CommStats) = (ranks[0].modelStats, ranks[0].dataStats)
            record(Self.modelBytes, model.bytes / steps / 1e6)
            record(Self.dataBytes, data.bytes / steps / 1e6)
            record(Self.modelled, (model + data).seconds(on: .ethernet(gigabits: 10)) / steps)
            record(Self.seconds, ranks.map(\.seconds).max() ?? .nan)
            self.record(losses: ranks[0].losses, name, seed, &measurements)
        }
        guard family == "OPT" else { return }
        let joined: (forward: Double, backward: Double) = try parity.joinedEverywhere()
        measurements.record("OPT joined everywhere", Self.forward, seed: seed, joined.forward)
        measurements.record("OPT joined everywhere", Self.backward, seed: seed, joined.backward)
    }

    private func record(losses: [Double], _ name: String, _ seed: UInt64, _ measurements: inout Measurements) {
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "training loss (nats per character)", axis: "step", seed: seed, x: losses.indices.map(Double.init),
                y: losses))
    }

    static func difference(_ found: [Double], _ wanted: [Double]) -> Double {
        guard found.count == wanted.count, !found.isEmpty else { return .infinity }
        return zip(found, wanted).map { abs($0 - $1) / abs($1) }.max() ?? .infinity
    }

    private static func share(_ found: [[Int]], _ wanted: [[Int]]) -> Double {
        guard found.map(\.count) == wanted.map(\.count) else { return 0 }
        let pairs: [(Int, Int)] = zip(found, wanted).flatMap { Array(zip($0, $1)) }
        return Double(pairs.count { $0 == $1 }) / Double(max(pairs.count, 1))
    }

    /// The names under which ``RedcoPipelines`` records.
    static let pipelineMetrics: (finite: String, lines: String, score: String, ratio: String, agreement: String) = (
        finite, lines, score, ratio, agreement
    )
}
