import ArgumentParser

struct TrainCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "train", abstract: "Train a model.",
        subcommands: [
            TrainLanguageModelCommand.self,
            TrainClassifierCommand.self,
            TrainMemoryFormerCommand.self,
        ])
}
