import Foundation
import Synchronization

/// Starts the processes of a group on this machine, shows what they write behind their ranks, and ends all when one fails.
///
/// Each gets the variables that ``LaunchEnvironment`` reads. Where several machines take part, a launcher runs on each of them with the same
/// ``Plan/master`` and its own ``Plan/nodeRank``.
public final class ProcessLauncher: Sendable {
    /// What is started.
    public struct Plan: Sendable {
        /// Program (a path, or a name on the search path) and its arguments.
        public var command: [String]
        /// Processes on this machine.
        public var processes: Int
        /// Machines.
        public var nodes: Int = 1
        /// This machine, from 0.
        public var nodeRank: Int = 0
        /// Host and port of the first machine; nil for a single one, where the system chooses the port.
        public var master: (host: String, port: Int)?
        /// Seconds after which an operation of the group fails.
        public var timeout: Double = LaunchEnvironment.defaultTimeout
        /// Seconds between asking a process to end and killing it.
        public var grace: Double = 5
        /// Variables of the processes beside this one's.
        public var environment: [String: String] = [:]

        public init(command: [String], processes: Int) {
            precondition(!command.isEmpty && processes > 0, "\(processes) processes of \(command)")
            self.command = command
            self.processes = processes
        }
    }

    /// Set for a process that a launcher has started: a process that merely lost another one leaves the message to the launcher.
    public static let launchedVariable: String = "LINNET_LAUNCHED"
    /// The exit status of a process that ended because it lost another one.
    public static let lostPeerStatus: Int32 = 76

    private let plan: Plan
    private let output: PrefixedOutput = PrefixedOutput()

    public init(_ plan: Plan) { self.plan = plan }

    /// Runs the processes to their end.
    /// - Throws: ``LaunchError`` for the first that failed, `CancellationError` after an interrupt (which all processes get).
    public func run() throws {
        let socket: ListeningSocket? = plan.nodeRank == 0 ? try ListeningSocket(port: plan.master?.port ?? 0) : nil
        let host: String = plan.nodes > 1 ? plan.master?.host ?? "127.0.0.1" : "127.0.0.1"
        let port: Int = socket?.port ?? plan.master?.port ?? 0
        var children: [ChildProcess] = []
        do {
            for local in 0..<plan.processes {
                let rank: Int = plan.nodeRank * plan.processes + local
                children.append(
                    try ChildProcess(
                        plan.command, environment: variables(rank: rank, local: local, host: host, port: port), rank: rank,
                        listening: rank == 0 ? socket : nil, output: output))
            }
        } catch {
            end(children)
            throw error
        }
        let failure: LaunchError? = watch(children)
        for child in children { child.finish() }
        if Interrupt.isRequested { throw CancellationError() }
        if let failure { throw failure }
    }

    private func variables(rank: Int, local: Int, host: String, port: Int) -> [String: String] {
        let inherited: [String: String] = ProcessInfo.processInfo.environment
        let cores: Int = ProcessInfo.processInfo.activeProcessorCount
        var variables: [String: String] = inherited.merging(plan.environment) { $1 }
        variables["OMP_NUM_THREADS"] = variables["OMP_NUM_THREADS"] ?? String(max(1, cores / plan.processes))
        variables["RANK"] = String(rank)
        variables["LOCAL_RANK"] = String(local)
        variables["WORLD_SIZE"] = String(plan.processes * plan.nodes)
        variables["MASTER_ADDR"] = host
        variables["MASTER_PORT"] = String(port)
        variables[LaunchEnvironment.timeoutVariable] = String(plan.timeout)
        variables[Self.launchedVariable] = "1"
        variables[LaunchEnvironment.listeningDescriptorVariable] = rank == 0 ? String(ChildProcess.listeningDescriptor) : nil
        return variables
    }

    // MARK: Watching

    /// Until all have ended; gives the first failure.
    private func watch(_ children: [ChildProcess]) -> LaunchError? {
        var interrupted: Bool = false
        var running: [ChildProcess] = children
        var lost: (child: ChildProcess, since: Date)?
        while !running.isEmpty {
            running.removeAll { $0.poll() != nil }
            if Interrupt.isRequested, !interrupted {
                interrupted = true
                for child in running { child.signal(SIGINT) }
            }
            let failed: [ChildProcess] = interrupted ? [] : children.filter { $0.status.map { $0 != .exited(0) } ?? false }
            if let cause = failed.first(where: { $0.status != .exited(Self.lostPeerStatus) }) { return stop(running, because: cause) }
            // The process that was lost is seen a moment later, unless it ran on another machine.
            if let peer = failed.first {
                lost = lost ?? (peer, Date())
                if running.isEmpty || Date().timeIntervalSince(lost!.since) > 2 { return stop(running, because: peer) }
            }
            usleep(20_000)
        }
        return nil
    }

    private func stop(_ running: [ChildProcess], because cause: ChildProcess) -> LaunchError {
        output.mute(allBut: cause.rank)
        end(running)
        return LaunchError.failed(rank: cause.rank, status: cause.status!, others: plan.processes * plan.nodes - 1)
    }

    private func end(_ children: [ChildProcess]) {
        for child in children { child.signal(SIGTERM) }
        let limit: Date = Date().addingTimeInterval(plan.grace)
        while children.contains(where: { $0.poll() == nil }), Date() < limit { usleep(20_000) }
        for child in children where child.poll() == nil {
            child.signal(SIGKILL)
            child.wait()
        }
    }
}

/// Why a launch ended before its end, as one line.
public enum LaunchError: Error, CustomStringConvertible, Sendable, Equatable {
    case notStarted(command: String, reason: String)
    /// A process ended with an error; the others were stopped.
    case failed(rank: Int, status: ProcessStatus, others: Int)

    public var description: String {
        switch self {
        case .notStarted(let command, let reason): return "\(command) could not be started: \(reason)"
        case .failed(let rank, let status, let others):
            let rest: String = others == 0 ? "" : others == 1 ? "; the other one was stopped" : "; the other \(others) were stopped"
            return "rank \(rank) \(status.text)\(rest)"
        }
    }
}

/// How a process ended.
public enum ProcessStatus: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)

    var text: String {
        switch self {
        case .exited(ProcessLauncher.lostPeerStatus): "lost a rank on another machine"
        case .exited(let code): "ended with status \(code)"
        case .signalled(let number): "was ended by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}

/// Lines of several processes, each behind its rank, one at a time.
final class PrefixedOutput: Sendable {
    /// The only rank that is still shown, once one has failed.
    private let onlyRank: Mutex<Int?> = Mutex(nil)

    func mute(allBut rank: Int) { onlyRank.withLock { $0 = rank } }

    func write(_ line: some Collection<UInt8>, rank: Int, to descriptor: Int32) {
        onlyRank.withLock { only in
            guard only == nil || only == rank else { return }
            let bytes: [UInt8] = Array("[\(rank)] ".utf8) + line + [UInt8(ascii: "\n")]
            var written: Int = 0
            while written < bytes.count {
                let count: Int = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress! + written, bytes.count - written) }
                if count <= 0 { return }
                written += count
            }
        }
    }
}
