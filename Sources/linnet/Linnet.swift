import ArgumentParser
import Foundation
import Papers
import SequenceModels
import Torch
import Training

/// The command line. `--recipe FILE` stands for the flags that the YAML file names; see ``Recipe``.
@main
struct Linnet: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "linnet",
        abstract: "Train, run and compare linear-time sequence models.",
        discussion: """
            Every command takes --recipe FILE, a YAML file with the same names as the flags; flags win over it.
            Shell completion: linnet --generate-completion-script zsh (or bash, fish).
            """,
        version: "0.1.0",
        subcommands: [
            TrainCommand.self,
            LaunchCommand.self,
            LinearizeCommand.self,
            CompressCommand.self,
            ForecastCommand.self,
            DiffuseCommand.self,
            GenerateCommand.self,
            EvalCommand.self,
            PapersCommand.self,
            ReproduceCommand.self,
            ResultsCommand.self,
            RunsCommand.self,
            WebCommand.self,
            DataCommand.self,
            DemoCommand.self,
        ])

    static func main() async {
        Memory.keepFreedBlocks()
        Interrupt.admitSignals()
        if ExitReport.isLaunched { ReproductionWorker.endWithParent() }
        do {
            var command: any ParsableCommand = try parseAsRoot(Recipe.expanded(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            Foundation.exit(ExitReport.report(error))
        }
    }
}

/// How an error leaves the program: one line on standard error, exit status 2 (130 after an interrupt).
enum ExitReport {
    /// Whether `linnet launch` has started this process.
    static var isLaunched: Bool { ProcessInfo.processInfo.environment[ProcessLauncher.launchedVariable] == "1" }

    static func report(_ error: any Error) -> Int32 {
        if let failure = error as? TrainingFailure, case .interrupted = failure {
            write("\(failure)")
            return 130
        }
        // The launcher names the rank that ended first; those that merely lost it say nothing.
        if case .peerLost? = error as? DistributedError, isLaunched { return ProcessLauncher.lostPeerStatus }
        if error is CancellationError {
            write("interrupted")
            return 130
        }
        guard isUsage(error) else {
            write("error: \(oneLine("\(error)"))")
            return 2
        }
        let code: ExitCode = Linnet.exitCode(for: error)
        if code == .success || error is ExitCode { return succeed(error, code) }
        write("error: \(oneLine(Linnet.message(for: error))) (see --help)")
        return 2
    }

    /// Help, version and completion scripts come as "errors" that print; an explicit exit code prints nothing.
    private static func succeed(_ error: any Error, _ code: ExitCode) -> Int32 {
        let text: String = Linnet.fullMessage(for: error)
        if !text.isEmpty, code == .success { print(text) }
        return code.rawValue
    }

    private static func isUsage(_ error: any Error) -> Bool {
        if error is ValidationError || error is CleanExit || error is ExitCode { return true }
        // ArgumentParser's own errors are not public; they are the ones that it has an exit code of its own for.
        return Linnet.exitCode(for: error) != .failure
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
    }

    private static func write(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
