import Experiments
import Foundation
import TestSupport
import Testing

@testable import Papers

@Suite struct ReproductionLimitsTests {
    private func failure(_ script: String, _ limits: ReproductionLimits) async throws -> String {
        try await FakeWorker.with(script) { (worker) async throws in
            let queue: ReproductionQueue = worker.queue(limits: limits)
            return try #require(await queue.outcome(of: "gla")?.failure)
        }
    }

    @Test func aProcessThatRunsTooLongIsStopped() async throws {
        let start: Date = Date()
        let message: String = try await failure("sleep 60", ReproductionLimits(seconds: 0.25, graceSeconds: 0.3))
        #expect(message == "it ran longer than its limit of 0.250 s and was stopped")
        #expect(Date().timeIntervalSince(start) < 60)
    }

    @Test func aProcessThatTakesTooMuchMemoryIsStopped() async throws {
        // Keeps the last 250 MB of an endless stream.
        let message: String = try await failure(
            "mkfifo endless; cat /dev/zero > endless & exec tail -c 250000000 < endless",
            ReproductionLimits(memoryBytes: 64 << 20, graceSeconds: 0.3))
        #expect(message == "it took more than its limit of 64 MiB of memory and was stopped")
    }

    @Test(.enabled(if: isLinux, "other systems do not enforce a limit of the address space")) func theKernelRefusesALargeAllocation()
        async throws
    {
        let limits: ReproductionLimits = ReproductionLimits(memoryBytes: 64 << 20, graceSeconds: 0.3)
        let message: String = try await failure("exec dd if=/dev/zero of=/dev/null bs=3G count=1", limits)
        #expect(message.contains("its process ended with status 1: dd: memory exhausted"))
        let told: String = try await failure("echo \"error: $(ulimit -d)\" >&2; exit 1", limits)
        #expect(told.hasSuffix("error: \((96 + 1024) * 1024)"))
    }

    @Test func whatAProcessLeavesBehindEndsWithIt() async throws {
        try await FakeWorker.with("sleep 300 & echo $! > left; exit 0") { (worker) async throws in
            let start: Date = Date()
            #expect(try await worker.queue().outcome(of: "gla")?.failure == "its process ended without a report")
            #expect(Date().timeIntervalSince(start) < 60)
            let left: pid_t = try #require(pid_t(worker.text("left").trimmingCharacters(in: .newlines)))
            #expect(await waitUntil { kill(left, 0) != 0 || isZombie(left) })
        }
    }

    @Test func aProgramThatIsNotThereIsAFailure() async throws {
        try await FakeWorker.with("") { (worker) async throws in
            let queue: ReproductionQueue = ReproductionQueue(
                ReproductionQueue.Configuration(executable: worker.folder.path + "/nothing", slugs: ["gla"]), store: nil)
            #expect(try await queue.outcome(of: "gla")?.failure?.contains("not found") == true)
        }
    }

    @Test func theUsualLimitsGrowWithTheSeedsAndAreShared() {
        let smoke: ReproductionLimits = .standard(ReproductionJob(slug: "gla", scale: .smoke, seeds: 3), atOnce: 2)
        #expect(smoke.seconds == 900)
        #expect(smoke.memoryBytes == Int(Double(ProcessInfo.processInfo.physicalMemory) * 0.45))
        #expect(ReproductionLimits.standard(ReproductionJob(slug: "gla", scale: .full, seeds: 3), atOnce: 1).seconds == nil)
    }

    private static let isLinux: Bool = {
        #if os(Linux)
            true
        #else
            false
        #endif
    }()

    /// An orphan that was killed and that nobody has waited for.
    private func isZombie(_ process: pid_t) -> Bool {
        let state: String? = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return state?.contains(") Z ") ?? true
    }
}
