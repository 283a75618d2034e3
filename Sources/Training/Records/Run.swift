import Foundation
import GRDB

/// How a run stands.
public enum RunStatus: String, Codable, Sendable, CaseIterable {
    case running, finished, failed, interrupted
}

/// One training run, as recorded.
public struct Run: Sendable, Equatable, Codable {
    /// Sorts by starting time: "20261123-224602-k3f9" (UTC).
    public let id: String
    /// What the user calls it, for example "gla-shakespeare".
    public let name: String
    /// What was done, for example "train lm".
    public let kind: String
    /// The command line.
    public let command: String
    /// The whole configuration as JSON text.
    public let configuration: String
    public let commit: String?
    /// The machine's name and processors.
    public let machine: String
    public let seed: UInt64?
    /// A run that says "running" but whose process is gone is reported as interrupted.
    public internal(set) var status: RunStatus
    public let started: Date
    /// Nil while it runs; for an interrupted run the time of its last metric, or of its start.
    public internal(set) var ended: Date?
    let process: ProcessMark
}

/// What a run is started with.
public struct RunDescription: Sendable {
    public var name: String
    public var kind: String
    public var command: String
    public var configuration: String
    public var commit: String?
    public var seed: UInt64?

    /// - Parameters:
    ///   - name: a short name for people.
    ///   - kind: what sort of run, such as "lm".
    ///   - command: the command line that started it.
    ///   - configuration: JSON text.
    ///   - commit: the git commit of the code, if known.
    ///   - seed: of the run, if it has one.
    public init(
        name: String, kind: String, command: String = CommandLine.arguments.joined(separator: " "), configuration: String = "{}",
        commit: String? = nil, seed: UInt64? = nil
    ) {
        self.name = name
        self.kind = kind
        self.command = command
        self.configuration = configuration
        self.commit = commit
        self.seed = seed
    }

    /// Takes an encodable configuration.
    public init(
        name: String, kind: String, command: String = CommandLine.arguments.joined(separator: " "), encoding configuration: some Encodable,
        commit: String? = nil, seed: UInt64? = nil
    ) throws {
        self.init(name: name, kind: kind, command: command, configuration: try configuration.sortedJSON(), commit: commit, seed: seed)
    }
}

/// A process, told apart from a later one with the same number.
struct ProcessMark: Sendable, Equatable, Codable {
    let host: String
    let number: Int32
    /// The kernel's identity of the machine's boot and the process's start in ticks after it; empty where there is no /proc.
    let start: String

    static let current = ProcessMark(
        host: ProcessInfo.processInfo.hostName, number: getpid(), start: startMark(of: getpid()) ?? "")

    /// Whether the process is known to be gone; one on another machine cannot be judged.
    var isGone: Bool {
        guard host == ProcessMark.current.host else { return false }
        if kill(number, 0) != 0 && errno == ESRCH { return true }
        return !start.isEmpty && ProcessMark.startMark(of: number) != start
    }

    private static func startMark(of process: Int32) -> String? {
        guard let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8),
            let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        else { return nil }
        // The second field, the program's name in parentheses, may hold blanks; field 22 is the start, the 20th after it.
        let fields = status[(status.lastIndex(of: ")") ?? status.startIndex)...].split(separator: " ")
        guard fields.count > 20 else { return nil }
        return boot.prefix(8) + "-" + fields[20]
    }
}

/// One value of a metric.
public struct MetricPoint: Sendable, Equatable {
    public let step: Int
    /// NaN and infinities are kept.
    public let value: Double
    public let time: Date
}

/// A metric of a run in brief.
public struct MetricSummary: Sendable, Equatable {
    public let name: String
    public let count: Int
    public let last: MetricPoint
    /// The best finite value: the greatest for a metric that should grow, else the least; nil if no value is finite.
    public let best: MetricPoint?
    public let first: MetricPoint

    /// Whether a greater value of the named metric is better, judged by the last word of its name: accuracy, F1, speed, ...
    public static func prefersGreater(_ name: String) -> Bool {
        let words = name.lowercased().split { !$0.isLetter && !$0.isNumber }
        let growing: Set<Substring> = [
            "accuracy", "acc", "f1", "auc", "precision", "recall", "r2", "score", "bleu", "rouge", "correct", "throughput", "second", "s",
        ]
        return words.last.map { growing.contains($0) } ?? false
    }
}

/// What cannot be done with the run records.
public enum RunStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotOpen(path: String, reason: String)
    case cannotWrite(path: String, reason: String)
    case notARunStore(path: String)
    case unknownRun(String, path: String)
    case ambiguous(String, candidates: [String])
    case lost(points: Int, reason: String)

    public var description: String {
        switch self {
        case .cannotOpen(let path, let reason): "cannot open the run records \(path): \(reason)"
        case .cannotWrite(let path, let reason): "cannot write to the run records \(path): \(reason)"
        case .notARunStore(let path): "\(path) is not a database of run records"
        case .unknownRun(let text, let path): "no run in \(path) is named '\(text)' or has an id that starts or ends with it"
        case .ambiguous(let text, let candidates): "'\(text)' fits several runs: \(candidates.prefix(4).joined(separator: ", "))"
        case .lost(let points, let reason): "\(points) metric points could not be recorded: \(reason)"
        }
    }
}
