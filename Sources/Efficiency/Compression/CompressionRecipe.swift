import Torch

/// Steps to apply one after the other, from a file such as this:
///
///     steps:
///       - welore: {targetReduction: 0.5}
///       - quantize: {bits: 4, groupSize: 64, method: gptq}
public struct CompressionRecipe: Decodable, Sendable {
    public let steps: [any CompressionStep]

    public init(steps: [any CompressionStep]) { self.steps = steps }

    private enum CodingKeys: String, CodingKey, CaseIterable { case steps }

    /// - Throws: `ConfigurationError` naming the step that is unknown, or whose settings are wrong.
    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "a recipe")
        var named: [NamedStep] = []
        try fields.read(.steps, into: &named)
        if named.isEmpty { throw ConfigurationError("a recipe has to have a list of steps") }
        steps = named.map(\.step)
    }

    /// A mapping of one step's name to its settings.
    private struct NamedStep: Decodable {
        let step: any CompressionStep

        init(from decoder: any Decoder) throws {
            let container: KeyedDecodingContainer<StepName>
            do { container = try decoder.container(keyedBy: StepName.self) } catch is DecodingError {
                throw ConfigurationError("each step of a recipe has to be a step's name with its settings, such as 'quantize: {bits: 4}'")
            }
            guard let key = container.allKeys.first, container.allKeys.count == 1 else {
                throw ConfigurationError("each step of a recipe has to be one name with its settings, not \(container.allKeys.count)")
            }
            guard let type = CompressionSteps.all.first(where: { $0.name == key.stringValue }) else {
                let names: String = CompressionSteps.all.map { $0.name }.joined(separator: ", ")
                throw ConfigurationError("there is no step \(key.stringValue.prefix(40)); there are \(names)")
            }
            step = try Self.decode(type, container, key)
        }

        private static func decode<Step: CompressionStep>(
            _ type: Step.Type, _ container: KeyedDecodingContainer<StepName>, _ key: StepName
        ) throws -> any CompressionStep {
            try container.decode(type, forKey: key)
        }
    }

    private struct StepName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
