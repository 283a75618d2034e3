import ArgumentParser
import Foundation
import Training

struct DataCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "data", abstract: "List, fetch and describe data sets.",
        discussion: """
            Sets live in $LINNET_DATA, or in the user's cache folder. Nothing is downloaded unless asked for.

            Examples:
              linnet data list
              linnet data info mnist
              linnet data fetch tinyshakespeare
            """,
        subcommands: [List.self, Fetch.self, Info.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "List the data sets and whether they are here.")

        func run() async throws {
            let directory: DataDirectory = .standard
            print("data folder: \(directory.path)")
            let width: Int = DataSource.all.map(\.name.count).max() ?? 0
            for source in DataSource.all {
                let here: String = directory.missingPart(of: source) == nil ? "here   " : source.isFetchable ? "fetch  " : "by hand"
                print(source.name.padding(toLength: width, withPad: " ", startingAt: 0), here, source.title, separator: "  ")
            }
        }
    }

    struct Fetch: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Download a data set and check its digest.")
        @Argument(help: "Name of the data set.")
        var name: String

        func run() async throws { print(try await DataDirectory.standard.fetch(name)) }
    }

    struct Info: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Describe a data set: origin, licence, files.")
        @Argument(help: "Name of the data set.")
        var name: String

        func run() async throws {
            let source: DataSource = try DataSource.named(name)
            let directory: DataDirectory = .standard
            print("\(source.name): \(source.title)")
            print("homepage  \(source.homepage)")
            print("licence   \(source.licence)")
            if !source.notes.isEmpty { print("notes     \(source.notes)") }
            let place: String = directory.missingPart(of: source).map { "not here (missing \($0))" } ?? directory.folder(of: source)
            print("folder    \(place)")
            for file in source.files { print("file      \(file.name)") }
        }
    }
}
