import Experiments
import Foundation

/// How long a job's process may run and how much memory it may take; one that goes beyond is stopped and its job fails.
public struct ReproductionLimits: Codable, Sendable, Equatable {
    /// Seconds from the process's start to its end; nil for no limit.
    public var seconds: Double?
    /// Bytes of resident memory; nil for no limit. The process's writable address space is limited to `addressSpaceBytes` besides.
    public var memoryBytes: Int?
    /// Seconds between the request to stop and the kill.
    public var graceSeconds: Double

    public init(seconds: Double? = nil, memoryBytes: Int? = nil, graceSeconds: Double = 10) {
        self.seconds = seconds
        self.memoryBytes = memoryBytes
        self.graceSeconds = graceSeconds
    }

    /// What an experiment of this size may take: five minutes a seed at smoke scale, an hour a seed at small scale, any time at full scale,
    /// and in each case its share of the machine's memory among the jobs that run at once.
    public static func standard(_ job: ReproductionJob, atOnce jobs: Int) -> ReproductionLimits {
        let perSeed: Double? =
            switch job.scale {
            case .smoke: 300
            case .small: 3600
            case .full: nil
            }
        let memory: Double = Double(ProcessInfo.processInfo.physicalMemory) * 0.9 / Double(max(1, jobs))
        return ReproductionLimits(seconds: perSeed.map { $0 * Double(job.seeds) }, memoryBytes: Int(memory))
    }

    /// Address space that the kernel lets the process write to. Above the resident limit by what stacks and reserved pages take without being used:
    /// the kernel's limit is for an allocation that is too fast for the watcher of the resident memory.
    var addressSpaceBytes: Int? { memoryBytes.map { $0 + $0 / 2 + (1 << 30) } }
}
