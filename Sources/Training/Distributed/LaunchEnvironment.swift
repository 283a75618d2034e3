import Foundation

/// A process's place among others, as the launcher's variables of the environment say it.
///
/// Understood are those of `linnet launch` and torchrun (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT`), Open MPI
/// (`OMPI_COMM_WORLD_RANK` and so on) and Slurm (`SLURM_PROCID` and so on, inside `srun`). `MASTER_ADDR` and `MASTER_PORT` win over what Open MPI and Slurm
/// imply; `GLOO_SOCKET_IFNAME` names the network interface.
public struct LaunchEnvironment: Sendable, Equatable {
    public let rank: Int
    public let worldSize: Int
    /// Rank among the processes of this machine.
    public let localRank: Int
    /// Where rank 0 runs.
    public let masterHost: String
    public let masterPort: Int
    /// A socket that listens on the port, which `linnet launch` hands to rank 0.
    public let listeningDescriptor: Int32?
    /// Whether the launcher serves the rendezvous itself, as torchrun does.
    public let launcherServes: Bool
    /// Tells one start of the processes from the next, where the launcher's server outlives them.
    public let attempt: String
    /// Network interface, such as `eth0`.
    public let interface: String?
    /// Seconds after which an operation fails.
    public let timeout: Double

    /// Variables of `linnet launch` that others do not have.
    public static let listeningDescriptorVariable: String = "LINNET_LISTEN_FD"
    public static let timeoutVariable: String = "LINNET_COMM_TIMEOUT"
    static let defaultTimeout: Double = 300

    /// Nil where no launcher has set anything.
    /// - Throws: ``DistributedError/environment(_:)`` where a variable is missing, is no number or out of its range.
    public init?(_ variables: [String: String] = ProcessInfo.processInfo.environment) throws {
        let reader: VariableReader = VariableReader(variables)
        guard let found = try Self.torchrun(reader) ?? Self.openMPI(reader) ?? Self.slurm(reader) else { return nil }
        guard found.worldSize > 0, (0..<found.worldSize).contains(found.rank) else {
            throw DistributedError.environment("the launcher says rank \(found.rank) of \(found.worldSize); a rank lies in 0 ..< size")
        }
        guard (1...65535).contains(found.port) else {
            throw DistributedError.environment("MASTER_PORT is \(found.port); it has to lie in 1 ... 65535")
        }
        rank = found.rank
        worldSize = found.worldSize
        localRank = found.localRank
        masterHost = found.host
        masterPort = found.port
        listeningDescriptor = try reader.integer(Self.listeningDescriptorVariable).map { Int32(truncatingIfNeeded: $0) }
        launcherServes = variables["TORCHELASTIC_USE_AGENT_STORE"]?.lowercased() == "true"
        attempt = variables["TORCHELASTIC_RESTART_COUNT"] ?? "0"
        interface = variables["GLOO_SOCKET_IFNAME"].flatMap { $0.isEmpty ? nil : $0 }
        let seconds: Double = try reader.number(Self.timeoutVariable) ?? Self.defaultTimeout
        guard seconds > 0, seconds.isFinite else {
            throw DistributedError.environment("\(Self.timeoutVariable) is \(seconds.formatted()); it has to be above 0 seconds")
        }
        timeout = seconds
    }

    // MARK: The launchers

    private struct Place {
        let rank: Int
        let worldSize: Int
        let localRank: Int
        let host: String
        let port: Int
    }

    private static func torchrun(_ reader: VariableReader) throws -> Place? {
        guard reader["RANK"] != nil || reader["WORLD_SIZE"] != nil else { return nil }
        let rank: Int = try reader.required("RANK", beside: "WORLD_SIZE")
        return Place(
            rank: rank, worldSize: try reader.required("WORLD_SIZE", beside: "RANK"), localRank: try reader.integer("LOCAL_RANK") ?? rank,
            host: reader["MASTER_ADDR"] ?? "127.0.0.1", port: try reader.required("MASTER_PORT", beside: "RANK"))
    }

    private static func openMPI(_ reader: VariableReader) throws -> Place? {
        guard let rank = try reader.integer("OMPI_COMM_WORLD_RANK") else { return nil }
        let size: Int = try reader.required("OMPI_COMM_WORLD_SIZE", beside: "OMPI_COMM_WORLD_RANK")
        let local: Bool = try reader.integer("OMPI_COMM_WORLD_LOCAL_SIZE") == size
        guard let host = reader["MASTER_ADDR"] ?? (local ? "127.0.0.1" : nil) else {
            throw DistributedError.environment(
                "Open MPI does not say where rank 0 runs; start with mpirun -x MASTER_ADDR=HOST -x MASTER_PORT=PORT")
        }
        let job: String = reader["PMIX_NAMESPACE"] ?? reader["OMPI_MCA_ess_base_jobid"] ?? ""
        return Place(
            rank: rank, worldSize: size, localRank: try reader.integer("OMPI_COMM_WORLD_LOCAL_RANK") ?? rank, host: host,
            port: try reader.integer("MASTER_PORT") ?? port(of: job))
    }

    /// Inside a step only: a batch script itself has SLURM_PROCID too, and waits for nobody.
    private static func slurm(_ reader: VariableReader) throws -> Place? {
        guard reader["SLURM_STEP_ID"] != nil, let rank = try reader.integer("SLURM_PROCID") else { return nil }
        let size: Int
        if let tasks = try reader.integer("SLURM_STEP_NUM_TASKS") {
            size = tasks
        } else {
            size = try reader.required("SLURM_NTASKS", beside: "SLURM_PROCID")
        }
        guard let nodes = reader["SLURM_STEP_NODELIST"] ?? reader["SLURM_JOB_NODELIST"] ?? reader["SLURM_NODELIST"] else {
            throw DistributedError.environment("SLURM_PROCID is set and SLURM_JOB_NODELIST is not; start with srun")
        }
        return Place(
            rank: rank, worldSize: size, localRank: try reader.integer("SLURM_LOCALID") ?? rank,
            host: reader["MASTER_ADDR"] ?? firstHost(of: nodes),
            port: try reader.integer("MASTER_PORT") ?? port(of: (reader["SLURM_JOB_ID"] ?? "") + "." + (reader["SLURM_STEP_ID"] ?? "")))
    }

    /// `node[03-05,9],other` begins with `node03`.
    static func firstHost(of list: String) -> String {
        guard let open = list.firstIndex(of: "["), !list[..<open].contains(",") else {
            return String(list.prefix { $0 != "," })
        }
        let inside: Substring = list[list.index(after: open)...]
        let number: Substring = inside.prefix { $0 != "-" && $0 != "," && $0 != "]" }
        let rest: Substring = inside.drop { $0 != "]" }.dropFirst()
        return String(list[..<open] + number + rest.prefix { $0 != "," })
    }

    /// The same port on all machines of a job, and most likely another one for another job.
    private static func port(of job: String) -> Int {
        let hash: UInt64 = job.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return 20000 + Int(hash % 10000)
    }
}

/// Numbers from variables, or an error that names the variable.
private struct VariableReader {
    private let variables: [String: String]

    init(_ variables: [String: String]) { self.variables = variables }

    /// An empty variable counts as none.
    subscript(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }

    func integer(_ name: String) throws -> Int? {
        guard let text = self[name] else { return nil }
        guard let value = Int(text) else { throw DistributedError.environment("\(name) is \"\(text)\"; it has to be a whole number") }
        return value
    }

    func number(_ name: String) throws -> Double? {
        guard let text = self[name] else { return nil }
        guard let value = Double(text) else { throw DistributedError.environment("\(name) is \"\(text)\"; it has to be a number") }
        return value
    }

    func required(_ name: String, beside other: String) throws -> Int {
        guard let value = try integer(name) else {
            throw DistributedError.environment("\(other) is set and \(name) is not; a launcher sets both (try linnet launch)")
        }
        return value
    }
}
