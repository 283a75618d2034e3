import ArgumentParser
import Foundation
import Training

struct LaunchCommand: ParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "launch",
        abstract: "Run a command in several processes that work together.",
        discussion: """
            A command after -- that begins with linnet, or with the name of one of its commands, is run by this very program; anything else is looked
            up on the search path. Each process gets RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and its share of the cores. What they write
            appears behind their ranks. When one fails, the others are stopped, and the command ends with one line that names it and exit status 2.

            Under torchrun, mpirun (Open MPI) or srun no launcher is needed: start the command itself with them.

            Examples:
              linnet launch -n 4 -- linnet train lm --text shakespeare.txt --mixer softmax --out runs/four
              linnet launch -n 4 -- reproduce l-greco
              linnet launch -n 8 --nodes 2 --node-rank 0 --master node0:29500 -- linnet train lm --recipe recipe.yaml --out runs/big
            """)

    @Option(name: [.customShort("n"), .customLong("processes")], help: "Processes on this machine.")
    var processes: Int
    @Option(help: "Machines; start this command on each of them.")
    var nodes: Int = 1
    @Option(name: .customLong("node-rank"), help: "Which of the machines this is, from 0.")
    var nodeRank: Int = 0
    @Option(help: "HOST:PORT of machine 0, which the others reach.")
    var master: String?
    @Option(help: "Seconds after which a process that waits for another one gives up.")
    var timeout: Double = 300
    @Option(help: "Seconds between asking a process to end and killing it.")
    var grace: Double = 5
    @Argument(parsing: .postTerminator, help: "The command, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("give the command after --, as in: linnet launch -n 4 -- linnet train lm …") }
        guard 1...1024 ~= processes else { throw ValidationError("-n has to be 1 to 1024, not \(processes)") }
        guard 1...4096 ~= nodes else { throw ValidationError("--nodes has to be 1 to 4096, not \(nodes)") }
        guard (0..<nodes).contains(nodeRank) else { throw ValidationError("--node-rank has to lie in 0 ..< \(nodes), not \(nodeRank)") }
        for (flag, value) in [("--timeout", timeout), ("--grace", grace)] {
            guard value > 0, value < 1e6 else { throw ValidationError("\(flag) has to be above 0 seconds, not \(value)") }
        }
        if nodes > 1, try masterAddress() == nil { throw ValidationError("--nodes \(nodes) needs --master HOST:PORT") }
    }

    func run() throws {
        var plan: ProcessLauncher.Plan = ProcessLauncher.Plan(command: resolved, processes: processes)
        plan.nodes = nodes
        plan.nodeRank = nodeRank
        plan.master = try masterAddress()
        plan.timeout = timeout
        plan.grace = grace
        Interrupt.install()
        try ProcessLauncher(plan).run()
    }

    /// This program where the command names it or one of its commands.
    private var resolved: [String] {
        if command[0] == "linnet" { return [Self.program] + command.dropFirst() }
        let own: [String] = Linnet.configuration.subcommands.compactMap { $0.configuration.commandName }
        return own.contains(command[0]) ? [Self.program] + command : command
    }

    private static var program: String { Bundle.main.executablePath ?? CommandLine.arguments[0] }

    private func masterAddress() throws -> (host: String, port: Int)? {
        guard let master else { return nil }
        guard let colon = master.lastIndex(of: ":"), colon > master.startIndex, let port = Int(master[master.index(after: colon)...]),
            1...65535 ~= port
        else { throw ValidationError("--master is HOST:PORT with a port of 1 to 65535, not '\(master)'") }
        return (String(master[..<colon]), port)
    }
}
