import Efficiency
import Foundation
import Torch
import Training

/// The seven pipelines on a mesh of (4, 1), and the plain loop.
struct RedcoPipelines {
    let setting: RedcoSetting
    let rows: [[Int32]]
    let vocabulary: Int
    let seed: UInt64
    let launch: RedcoRanks

    /// - Parameter record: gets method, metric and value.
    func run(_ record: (String, String, Double) -> Void) throws {
        let data: Data = try Data(setting, seed)
        let (setting, rows, vocabulary, seed): (RedcoSetting, [[Int32]], Int, UInt64) = (setting, rows, vocabulary, seed)
        let (batch, steps): (Int, Int) = (setting.pipelineBatch, setting.pipelineSteps)
        let programs: [(String, @Sendable (Deployer) throws -> PipelineOutcome)] = [
            (
                "LanguageModelingPipeline",
                { try LanguageModelingPipeline.run($0, rows, vocabulary: vocabulary, batch: batch, steps: steps) }
            ),
            (
                "ClassificationPipeline",
                { try ClassificationPipeline.run($0, training: data.sentences, testing: data.heldSentences, batch: batch, steps: steps) }
            ),
            ("SequenceToSequencePipeline", { try SequenceToSequencePipeline.run($0, batch: 2 * batch, steps: 4 * steps) }),
            (
                "MetaLearningPipeline",
                { try MetaLearningPipeline.run($0, training: data.tasks, testing: data.heldTasks, batch: batch / 4, steps: steps) }
            ),
            ("ReinforcementPipeline", { try ReinforcementPipeline.run($0, rounds: setting.rounds) }),
            ("FederatedPipeline", { try FederatedPipeline.run($0, data.digits, testing: data.heldDigits, rounds: setting.rounds) }),
            ("PrivatePipeline", { try PrivatePipeline.run($0, data.digits, testing: data.heldDigits, batch: batch, steps: steps) }),
        ]
        let names: (finite: String, lines: String, score: String, ratio: String, agreement: String) = RedcoExperiment.pipelineMetrics
        for (name, program) in programs {
            let ranks: [PipelineOutcome] = try launch.run(RedcoSetting.ranks) { group in
                try program(try Deployer(mesh: Mesh(dp: RedcoSetting.ranks, mp: 1), group: group, seed: seed))
            }
            record(name, names.finite, ranks.allSatisfy(\.isFinite) ? 1 : 0)
            record(name, names.score, ranks[0].score)
            record(name, names.lines, Double(PipelineLines.lines(of: name)))
            guard name == "LanguageModelingPipeline" else { continue }
            let plain: [PipelineOutcome] = try launch.run(RedcoSetting.ranks) { group in
                try PlainLanguageModelLoop.run(group, seed: seed, rows, vocabulary: vocabulary, batch: batch, steps: steps)
            }
            record("plain loop", names.score, plain[0].score)
            record("plain loop", names.lines, Double(PipelineLines.plainLoop))
            record(name, names.ratio, Double(PipelineLines.lines(of: name)) / Double(PipelineLines.plainLoop))
            record(name, names.agreement, RedcoExperiment.difference(ranks[0].losses, plain[0].losses))
        }
    }

    /// What the pipelines learn from.
    private struct Data: Sendable {
        let sentences: [ClassificationPipeline.Sentence]
        let heldSentences: [ClassificationPipeline.Sentence]
        let tasks: [MetaLearningPipeline.Task]
        let heldTasks: [MetaLearningPipeline.Task]
        let digits: [LabelledDigit]
        let heldDigits: [LabelledDigit]

        init(_ setting: RedcoSetting, _ seed: UInt64) throws {
            sentences = try ClassificationPipeline.sentences("train", limit: setting.sentences)
            heldSentences = try ClassificationPipeline.sentences("dev", limit: max(setting.sentences / 5, 10))
            let folder: String = try DataDirectory.standard.locate("mnist")
            let training: LabelledImages = try MNIST.load(.train, folder: folder)
            let testing: LabelledImages = try MNIST.load(.test, folder: folder)
            tasks = MetaLearningPipeline.tasks(training, count: setting.tasks, seed: seed)
            heldTasks = MetaLearningPipeline.tasks(testing, count: max(setting.tasks / 10, 3), seed: seed &+ 1)
            digits = LabelledDigit.all(training, limit: setting.digits)
            heldDigits = LabelledDigit.all(testing, limit: max(setting.digits / 5, 30))
        }
    }
}
