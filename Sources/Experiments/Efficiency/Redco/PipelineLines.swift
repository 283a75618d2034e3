/// Lines that are not blank in the pipelines' files and in the plain loop. Programs do not carry their sources: a test counts them again.
enum PipelineLines {
    static let files: [(name: String, lines: Int)] = [
        ("LanguageModelingPipeline", 41),
        ("ClassificationPipeline", 72),
        ("SequenceToSequencePipeline", 51),
        ("MetaLearningPipeline", 85),
        ("ReinforcementPipeline", 99),
        ("FederatedPipeline", 42),
        ("PrivatePipeline", 49),
    ]
    static let plainLoop: Int = 90

    static func lines(of name: String) -> Int { files.first { $0.name == name }?.lines ?? 0 }
}
