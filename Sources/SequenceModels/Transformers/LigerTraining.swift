import Foundation
import NN
import Optim
import Torch
import Training

/// The one stage of training that a linearised model needs: low-rank adapters on the projections, by the loss of the next token alone (Lan et al., 2025,
/// section 3.3).
public struct LigerTraining: Codable, Sendable {
    public var liger: LigerConfiguration
    /// Adapters of the projections of queries, keys and values; nil trains every weight.
    public var lora: LoRAConfiguration?
    public var optimizer: AdamWConfiguration
    public var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    public var context: Int
    /// Sequences in a batch.
    public var rows: Int
    /// Where the model was linearised from, so that a run is not continued with another one.
    public var teacher: String

    public init(
        liger: LigerConfiguration, lora: LoRAConfiguration?, optimizer: AdamWConfiguration, trainer: TrainerConfiguration, context: Int,
        rows: Int, teacher: String = ""
    ) {
        self.liger = liger
        self.lora = lora
        self.optimizer = optimizer
        self.trainer = trainer
        self.context = context
        self.rows = rows
        self.teacher = teacher
    }

    /// Gives the projections of queries, keys and values adapters and freezes everything else, but for a ``LigerGate/learned`` gate.
    public static func adapt(_ student: LlamaModel, _ lora: LoRAConfiguration) {
        applyLoRA(to: student, lora) { path in
            ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"].contains { path.hasSuffix(".\($0)") }
        }
        student.unfreeze { $0.hasSuffix(".self_attn.gate_proj.weight") }
    }

    /// Adapts a model and trains it in place. The adapters are neither merged nor fused afterwards.
    /// - Parameters:
    ///   - student: without adapters yet.
    ///   - corpus: tokens to train and to validate on.
    ///   - folder: gets the checkpoints, below `checkpoints`; nil keeps nothing.
    ///   - resume: continue from the newest checkpoint of the folder.
    ///   - sink: receives the metrics.
    ///   - progress: how progress is shown.
    public func run(
        _ student: LigerLM, _ corpus: LanguageModelTraining.Corpus, folder: URL? = nil, resume: Bool = false,
        sink: any MetricSink = MetricFanOut([]), progress: ProgressStyle = .automatic()
    ) throws -> (result: TrainingResult, score: LanguageModelScore) {
        seedEverything(trainer.seed)
        if let lora { Self.adapt(student, lora) }
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let fit: LanguageModelFit = LanguageModelFit(
            optimizer: optimizer, trainer: trainer, context: context, rows: rows,
            description: String(decoding: try encoder.encode(self), as: UTF8.self))
        return try fit.run(student, corpus, folder: folder, resume: resume, sink: sink, progress: progress)
    }
}

extension LanguageModelScore {
    /// The share of a teacher's gain over guessing that a student keeps: `(ln V − L) / (ln V − L_teacher)`.
    public func recovery(of teacher: LanguageModelScore, vocabularySize: Int) -> Double {
        let guessing: Double = log(Double(vocabularySize))
        return (guessing - loss) / (guessing - teacher.loss)
    }
}
