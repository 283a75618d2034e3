import Training

/// Every experiment, by the slug of its paper.
public enum ExperimentCatalogue {
    /// In alphabetical order of their slugs.
    public static let all: [any Experiment.Type] = [
        DCTAdamWExperiment.self,
        DeltaNetExperiment.self,
        DuoLLMExperiment.self,
        FourierHeadExperiment.self,
        GammaMoDExperiment.self,
        GatedLinearAttentionExperiment.self,
        HyperZZWExperiment.self,
        LGreCoExperiment.self,
        LAMBExperiment.self,
        LayerwiseQuantizationExperiment.self,
        LigerExperiment.self,
        LightNetExperiment.self,
        LiTExperiment.self,
        LSSLExperiment.self,
        MaestroExperiment.self,
        MatryoshkaKVExperiment.self,
        MemoryFormerExperiment.self,
        MixtureOfMemoriesExperiment.self,
        MultilevelExperiment.self,
        RedcoExperiment.self,
        SMambaExperiment.self,
        SMETimesExperiment.self,
        SNNKExperiment.self,
        TransNormerExperiment.self,
        WeLoreExperiment.self,
    ]

    public static var slugs: [String] { all.map { $0.slug } }

    /// - Throws: ``UnknownExperiment`` naming the slugs there are.
    public static func experiment(_ slug: String) throws -> any Experiment.Type {
        guard let found = all.first(where: { $0.slug == slug }) else { throw UnknownExperiment(slug: slug) }
        return found
    }
}

/// A slug that no experiment has.
public struct UnknownExperiment: Error, CustomStringConvertible, Sendable {
    public let slug: String

    public var description: String {
        "there is no experiment '\(slug)'; the slugs are \(ExperimentCatalogue.slugs.joined(separator: ", "))"
    }
}
