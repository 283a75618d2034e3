import ArgumentParser
import Optim

/// An optimizer on the command line: its name, or in YAML its name with settings, such as `galore: {rank: 32}`.
struct OptimizerArgument: ExpressibleByArgument {
    private let text: String

    init(argument: String) { text = argument }

    static let adamw: OptimizerArgument = OptimizerArgument(argument: "adamw")
    static let allValueStrings: [String] = OptimizerConfiguration.names
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
    static let help: ArgumentHelp = ArgumentHelp(
        "The optimizer, by its name alone or in YAML with settings, as 'galore: {rank: 32}'.", valueName: "name")
    var defaultValueDescription: String { text }

    /// - Parameters:
    ///   - learningRate: unless the settings have one.
    ///   - weightDecay: unless the settings have one; nil leaves it to the optimizer.
    ///   - adamW: further settings of AdamW.
    /// - Throws: `ValidationError` for what is no name with settings, `ConfigurationError` for an unknown one.
    func configuration(learningRate: Double, weightDecay: Double?, adamW: [String: Double] = [:]) throws -> OptimizerConfiguration {
        guard let (name, given) = NamedSettings.parse(text) else { throw malformed }
        var settings: [String: Any] = name == "adamw" ? adamW : [:]
        settings["learningRate"] = learningRate
        settings["weightDecay"] = weightDecay ?? settings["weightDecay"]
        settings.merge(given) { $1 }
        guard let found = try NamedSettings.decode(OptimizerConfiguration.self, name, settings) else { throw malformed }
        return found
    }

    private var malformed: ValidationError {
        ValidationError(
            "--optimizer is a name, such as lamb, or a name with settings, such as 'galore: {rank: 32}', not '\(text.prefix(80))'")
    }
}
