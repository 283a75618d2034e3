import ArgumentParser

@main
struct Linnet: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(commandName: "linnet", abstract: "Linear-time models in Swift.")
}
