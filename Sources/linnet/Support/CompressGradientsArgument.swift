import ArgumentParser
import Efficiency

/// A compression of gradients on the command line: its name, or in YAML its name with settings, such as `powersgd: {reference: 4}`.
struct CompressGradientsArgument: ExpressibleByArgument {
    private let text: String

    init(argument: String) { text = argument }

    static let allValueStrings: [String] = GradientCompressionConfiguration.names
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
    static let help: ArgumentHelp = ArgumentHelp(
        "How gradients are sent: powersgd, topk or quantization, alone or in YAML with settings, as 'powersgd: {reference: 4}'.",
        valueName: "name")

    /// - Throws: `ValidationError` for what is no name with settings, `ConfigurationError` for an unknown one.
    func configuration() throws -> GradientCompressionConfiguration {
        guard let (name, settings) = NamedSettings.parse(text),
            let found = try NamedSettings.decode(GradientCompressionConfiguration.self, name, settings)
        else {
            throw ValidationError(
                """
                --compress-gradients is a name, such as powersgd, or a name with settings, such as 'powersgd: {reference: 4}', not \
                '\(text.prefix(80))'
                """)
        }
        return found
    }
}
