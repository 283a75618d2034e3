/// Why a training run stopped before its end.
public enum TrainingFailure: Error, CustomStringConvertible, Sendable, Equatable {
    /// A number became NaN or infinite.
    case notFinite(step: Int, tensor: String, checkpoint: String?)
    /// Ctrl-C or SIGTERM; the step was finished and, where there is a folder, a checkpoint written.
    case interrupted(step: Int, checkpoint: String?)

    public var description: String {
        switch self {
        case .notFinite(let step, let tensor, let checkpoint):
            "training stopped at step \(step): \(tensor) is not finite; "
                + (checkpoint.map { "the last good checkpoint is \($0); " } ?? "there is no checkpoint yet; ")
                + "try a lower learning rate, a longer warm-up or stronger clipping"
        case .interrupted(let step, let checkpoint):
            "interrupted after step \(step)" + (checkpoint.map { "; continue from \($0) with --resume" } ?? "")
        }
    }
}
