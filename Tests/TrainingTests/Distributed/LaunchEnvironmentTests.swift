import TestSupport
import Testing

@testable import Training

@Suite("The launchers' variables", .ownRandomNumbers)
struct LaunchEnvironmentTests {
    @Test("none of them is a group of one")
    func nothing() throws {
        #expect(try LaunchEnvironment(["PATH": "/bin", "SLURM_JOB_ID": "7"]) == nil)
        // A batch script itself, outside srun.
        #expect(try LaunchEnvironment(["SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NODELIST": "a"]) == nil)
    }

    @Test("torchrun")
    func torchrun() throws {
        let variables: [String: String] = [
            "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "gpu07", "MASTER_PORT": "29500", "GLOO_SOCKET_IFNAME": "eth1",
            "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "2", "LINNET_COMM_TIMEOUT": "12.5",
        ]
        let place: LaunchEnvironment = try #require(try LaunchEnvironment(variables))
        #expect((place.rank, place.worldSize, place.localRank) == (5, 8, 1))
        #expect((place.masterHost, place.masterPort, place.interface) == ("gpu07", 29500, "eth1"))
        #expect(place.launcherServes && place.attempt == "2" && place.timeout == 12.5 && place.listeningDescriptor == nil)
    }

    @Test("Slurm takes the first host of the list, and one port for all ranks of a job")
    func slurm() throws {
        var variables: [String: String] = [
            "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "16", "SLURM_NTASKS": "32", "SLURM_LOCALID": "3", "SLURM_JOB_ID": "4242",
            "SLURM_STEP_ID": "0", "SLURM_JOB_NODELIST": "rack1-[007-009,12],login", "SLURM_STEP_NODELIST": "",
        ]
        let place: LaunchEnvironment = try #require(try LaunchEnvironment(variables))
        #expect((place.rank, place.worldSize, place.localRank, place.masterHost) == (3, 16, 3, "rack1-007"))
        variables["SLURM_PROCID"] = "4"
        #expect(try LaunchEnvironment(variables)?.masterPort == place.masterPort)
        variables["SLURM_JOB_ID"] = "4243"
        #expect(try LaunchEnvironment(variables)?.masterPort != place.masterPort)
        variables["MASTER_PORT"] = "1234"
        #expect(try LaunchEnvironment(variables)?.masterPort == 1234)
    }

    @Test(
        "first hosts of Slurm's lists",
        arguments: [
            ("n1", "n1"), ("n1,n2", "n1"), ("n[1-3]", "n1"), ("n[08]", "n08"), ("n[2,5]-ib,m", "n2-ib"), ("login,n[1-3]", "login"),
        ])
    func firstHost(list: String, host: String) { #expect(LaunchEnvironment.firstHost(of: list) == host) }

    @Test("Open MPI on one machine, and on several")
    func openMPI() throws {
        var variables: [String: String] = [
            "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            "PMIX_NAMESPACE": "prterun-x-1",
        ]
        #expect(try LaunchEnvironment(variables)?.masterHost == "127.0.0.1")
        variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1"
        #expect(throws: DistributedError.self) { try LaunchEnvironment(variables) }
        variables["MASTER_ADDR"] = "head"
        #expect(try LaunchEnvironment(variables)?.masterHost == "head")
    }

    @Test(
        "what does not fit is one line that names the variable",
        arguments: [
            (["RANK": "0"], "WORLD_SIZE"), (["RANK": "x", "WORLD_SIZE": "2"], "RANK is \"x\""),
            (["RANK": "2", "WORLD_SIZE": "2", "MASTER_PORT": "1"], "rank 2 of 2"),
            (["RANK": "0", "WORLD_SIZE": "2"], "MASTER_PORT"),
            (["RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "70000"], "MASTER_PORT is 70000"),
            (["RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "1", "LINNET_COMM_TIMEOUT": "-1"], "LINNET_COMM_TIMEOUT"),
        ])
    func broken(variables: [String: String], part: String) {
        let error: DistributedError? = #expect(throws: DistributedError.self) { try LaunchEnvironment(variables) }
        let text: String = error?.description ?? ""
        #expect(text.contains(part) && !text.contains("\n"), "\(text)")
    }
}
