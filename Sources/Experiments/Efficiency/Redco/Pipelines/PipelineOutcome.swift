/// What came of a pipeline.
struct PipelineOutcome: Codable, Sendable {
    /// Of each step.
    let losses: [Double]
    /// What the user looks at in the end, such as an accuracy.
    let score: Double

    var isFinite: Bool { !losses.isEmpty && losses.allSatisfy(\.isFinite) && score.isFinite }
}
