import Foundation
import Subprocess
import Synchronization

/// A worker's process from its start to its end: reads what it writes and keeps it within its limits.
///
/// The process leads a group of its own, so that a Ctrl-C in the terminal reaches it only through the queue, and so that what it has started
/// itself ends with it. Its standard input is a pipe that is never written to; it ends when this process does.
final class WorkerProcess: Sendable {
    /// Why a process was stopped.
    enum Stop: Sendable, Equatable {
        case cancelled
        /// It ran longer than these seconds.
        case time(limit: Double)
        /// It took more than these bytes of memory.
        case memory(limit: Int)
    }

    enum End: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)
        case notStarted(String)
    }

    struct Outcome: Sendable {
        let end: End
        let stop: Stop?
        /// The last of what it wrote to standard error.
        let errors: String
    }

    private let command: [String]
    private let environment: [String: String]
    private let limits: ReproductionLimits
    private let stopReason: Mutex<Stop?> = Mutex(nil)

    init(_ command: [String], environment: [String: String], limits: ReproductionLimits) {
        self.command = command
        self.environment = environment
        self.limits = limits
    }

    /// Asks the process to end; after the grace it is killed.
    func cancel() { stop(.cancelled) }

    private func stop(_ reason: Stop) { stopReason.withLock { $0 = $0 ?? reason } }

    /// Runs the process to its end. Each line of its standard output goes to `onLine`, one after the other.
    func run(onLine: @escaping @Sendable (Data) async -> Void) async -> Outcome {
        var options: PlatformOptions = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = teardown
        let variables: [Environment.Key: String?] = Dictionary(
            uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) })
        do {
            let result = try await Subprocess.run(
                .path("/bin/sh"), arguments: Arguments(limitedCommand), environment: .inherit.updating(variables),
                platformOptions: options, input: .inputWriter, output: .sequence, error: .sequence
            ) { execution in
                async let errors: String = Self.tail(of: execution.standardError)
                async let lines: Void = Self.forward(execution.standardOutput, to: onLine)
                await self.watch(execution)
                await lines
                return await errors
            }
            return Outcome(end: End(result.terminationStatus), stop: stopReason.withLock { $0 }, errors: result.closureResult)
        } catch {
            return Outcome(end: .notStarted("\(error)"), stop: stopReason.withLock { $0 }, errors: "")
        }
    }

    /// The command behind a shell that lets the kernel limit the address space before the program is loaded.
    private var limitedCommand: [String] {
        let kilobytes: String = limits.addressSpaceBytes.map { String($0 / 1024) } ?? "unlimited"
        return ["-c", "ulimit -d \"$0\" 2>/dev/null; exec \"$@\"", kilobytes] + command
    }

    private var teardown: [TeardownStep] {
        [.send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(limits.graceSeconds))]
    }

    private func watch(_ execution: Execution<CustomWriteInput, SequenceOutput, SequenceOutput>) async {
        let process: pid_t = execution.processIdentifier.value
        let clock: ContinuousClock = ContinuousClock()
        let start: ContinuousClock.Instant = clock.now
        while !ProcessFacts.hasEnded(process) {
            if let seconds = limits.seconds, clock.now - start > .seconds(seconds) { stop(.time(limit: seconds)) }
            if let limit = limits.memoryBytes, let used = ProcessFacts.residentBytes(process), used > limit { stop(.memory(limit: limit)) }
            if Task.isCancelled { cancel() }
            if stopReason.withLock({ $0 }) != nil {
                await execution.teardown(using: teardown)
                break
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        // The process has not been waited for yet, so the number is still its own; what it has left behind goes too.
        kill(-process, SIGKILL)
    }

    private static func forward(_ output: SubprocessOutputSequence, to onLine: @Sendable (Data) async -> Void) async {
        var splitter: LineSplitter = LineSplitter()
        do {
            for try await buffer in output {
                let lines: [Data] = buffer.withUnsafeBytes { splitter.append($0) }
                for line in lines { await onLine(line) }
            }
        } catch {
            // A pipe that breaks ends the reading; how the process ended says the rest.
        }
    }

    private static func tail(of output: SubprocessOutputSequence, limit: Int = 8192) async -> String {
        var bytes: Data = Data()
        do {
            for try await buffer in output {
                buffer.withUnsafeBytes { bytes.append(contentsOf: $0) }
                if bytes.count > limit { bytes = Data(bytes.suffix(limit)) }
            }
        } catch {
            // As above.
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension WorkerProcess.End {
    fileprivate init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(code)
        case .signaled(let number): self = .signalled(number)
        }
    }
}

/// What the system knows of a child process.
enum ProcessFacts {
    /// Whether a child has ended; it is left to be waited for.
    static func hasEnded(_ process: pid_t) -> Bool {
        var information: siginfo_t = siginfo_t()
        let found: Int32 = waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT)
        return found != 0 ? errno != EINTR : information.si_signo == SIGCHLD
    }

    /// Resident memory; nil when the process is gone.
    static func residentBytes(_ process: pid_t) -> Int? {
        #if os(Linux)
            guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return nil }
            let pages: [Substring] = text.split(separator: " ")
            return pages.count > 1 ? Int(pages[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
        #else
            var task: proc_taskinfo = proc_taskinfo()
            let size: Int32 = Int32(MemoryLayout<proc_taskinfo>.size)
            return proc_pidinfo(process, PROC_PIDTASKINFO, 0, &task, size) == size ? Int(task.pti_resident_size) : nil
        #endif
    }
}
