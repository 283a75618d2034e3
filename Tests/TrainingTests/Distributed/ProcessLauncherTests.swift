import Foundation
import TestSupport
import Testing

@testable import Training

@Suite("Starting several processes", .ownRandomNumbers)
struct ProcessLauncherTests {
    private func plan(_ script: String, _ processes: Int = 3) -> ProcessLauncher.Plan {
        var plan: ProcessLauncher.Plan = ProcessLauncher.Plan(command: ["/bin/sh", "-c", script], processes: processes)
        plan.grace = 1
        return plan
    }

    @Test("each has its place in its environment, and all the same master")
    func environment() throws {
        try TestPaths.withTemporaryFolder { folder in
            var plan: ProcessLauncher.Plan = plan(
                "echo $RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $LINNET_LISTEN_FD > \(folder.path)/$RANK")
            plan.nodes = 2
            plan.nodeRank = 0
            let port: Int = try ListeningSocket().port
            plan.master = ("127.0.0.1", port)
            try ProcessLauncher(plan).run()
            let lines: [String] = try (0..<3).map { try String(contentsOf: folder.appendingPathComponent("\($0)"), encoding: .utf8) }
            #expect(lines == (0..<3).map { "\($0) \($0) 6 127.0.0.1 \(port)\($0 == 0 ? " 3" : "")\n" })
            plan.nodeRank = 1
            try ProcessLauncher(plan).run()
            let second: String = try String(contentsOf: folder.appendingPathComponent("5"), encoding: .utf8)
            #expect(second == "5 2 6 127.0.0.1 \(port)\n")
        }
    }

    @Test("rank 0 is handed a socket that listens")
    func socket() throws {
        try ProcessLauncher(plan("test $RANK != 0 || test -S /proc/self/fd/3", 2)).run()
        #expect(throws: LaunchError.self) { try ProcessLauncher(plan("test -S /proc/self/fd/3", 2)).run() }
    }

    @Test("the first failure stops the others, with one line", .timeLimit(.minutes(1)))
    func failure() {
        let start: Date = Date()
        let error: LaunchError? = #expect(throws: LaunchError.self) {
            try ProcessLauncher(plan("if [ $RANK = 1 ]; then exit 7; else sleep 60; fi")).run()
        }
        #expect(error == .failed(rank: 1, status: .exited(7), others: 2))
        #expect(error?.description == "rank 1 ended with status 7; the other 2 were stopped")
        #expect(Date().timeIntervalSince(start) < 10)
    }

    @Test("one that does not listen to SIGTERM is killed after the grace", .timeLimit(.minutes(1)))
    func stubborn() {
        let error: LaunchError? = #expect(throws: LaunchError.self) {
            try ProcessLauncher(plan("if [ $RANK = 1 ]; then kill -9 $$; else trap '' TERM; while :; do sleep 0.2; done; fi", 2)).run()
        }
        #expect(error == .failed(rank: 1, status: .signalled(9), others: 1))
        #expect(error?.description.contains("signal 9") == true)
    }

    @Test("a process that merely lost another one is not the cause")
    func consequence() {
        let error: LaunchError? = #expect(throws: LaunchError.self) {
            try ProcessLauncher(plan("if [ $RANK = 2 ]; then sleep 0.5; exit 9; else exit 76; fi")).run()
        }
        #expect(error == .failed(rank: 2, status: .exited(9), others: 2))
        let elsewhere: LaunchError? = #expect(throws: LaunchError.self) { try ProcessLauncher(plan("exit 76", 2)).run() }
        #expect(elsewhere?.description == "rank 0 lost a rank on another machine; the other one was stopped")
    }

    @Test("a command that is not there is one line")
    func missing() {
        let error: LaunchError? = #expect(throws: LaunchError.self) {
            try ProcessLauncher(ProcessLauncher.Plan(command: ["/no/such/program"], processes: 2)).run()
        }
        #expect(error?.description == "/no/such/program could not be started: No such file or directory")
    }
}
