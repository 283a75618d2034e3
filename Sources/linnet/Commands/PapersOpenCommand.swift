import ArgumentParser
import Foundation
import Papers

struct PapersOpenCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "open", abstract: "Open a paper's page at arXiv in the browser.",
        discussion: """
            The address is printed, so that it can be followed where no browser is.

            Example:
              linnet papers open gla
            """)

    private struct Page: Encodable {
        let slug: String
        let address: String
        let isOpened: Bool
    }

    @OptionGroup var options: PapersOptions
    @Argument(help: "The paper's slug.")
    var slug: String

    func run() async throws {
        let paper: Paper = try options.store().paper(slug)
        guard let address = paper.arxivAddress else {
            throw ValidationError("'\(slug)' has no arXiv identifier; `linnet papers show \(slug)` says what is known of it")
        }
        try options.show(Page(slug: slug, address: address, isOpened: Self.open(address))) { address }
    }

    /// Hands an address over to the program that the system has for it.
    ///
    /// - Returns: whether there was one that took it.
    private static func open(_ address: String) -> Bool {
        #if os(macOS)
            let program: String = "open"
        #else
            let program: String = "xdg-open"
        #endif
        let folders: [Substring] = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let paths: [String] = folders.map { "\($0)/\(program)" }
        guard let path = paths.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else { return false }
        let process: Process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = [address]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
