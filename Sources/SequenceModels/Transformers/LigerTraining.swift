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
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    public var context: Int
    /// Sequences in a batch.
    public var rows: Int
    /// Where the model was linearised from, so that a run is not continued with another one.
    public var teacher: String

    public init(
        liger: LigerConfiguration, lora: LoRAConfiguration?, optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, context: Int,
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
    ///   - outlet: where checkpoints and metrics go, and whether an earlier run goes on.
    public func run(
        _ student: LigerLM, _ corpus: LanguageModelTraining.Corpus, outlet: TrainingOutlet = TrainingOutlet()
    ) throws -> (result: TrainingResult, score: LanguageModelScore) {
        seedEverything(trainer.seed)
        if let lora { Self.adapt(student, lora) }
        let fit: LanguageModelFit = LanguageModelFit(
            optimizer: optimizer, trainer: trainer, context: context, rows: rows, description: try sortedJSON())
        return try fit.run(student, corpus, outlet)
    }
}

extension LanguageModelScore {
    /// The share of a teacher's gain over guessing that a student keeps: `(ln V − L) / (ln V − L_teacher)`.
    public func recovery(of teacher: LanguageModelScore, vocabularySize: Int) -> Double {
        let guessing: Double = log(Double(vocabularySize))
        return (guessing - loss) / (guessing - teacher.loss)
    }
}
