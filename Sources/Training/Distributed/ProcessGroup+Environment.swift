import Synchronization
import Torch

extension ProcessGroup {
    private static let joined: Mutex<ProcessGroup?> = Mutex(nil)

    /// The group of all processes that a launcher has started (see ``LaunchEnvironment``); a group of one where there is none.
    ///
    /// The first call joins and waits for the others; later ones give the same group.
    /// - Throws: ``DistributedError``.
    public static func fromEnvironment() throws -> ProcessGroup {
        try joined.withLock { group in
            if let group { return group }
            let made: ProcessGroup = try LaunchEnvironment().map(joining) ?? .single
            group = made
            return made
        }
    }

    /// Joins the group that an environment describes. Where every process has a GPU of its own, the one of its local rank becomes its default device.
    /// - Throws: ``DistributedError``.
    public static func joining(_ environment: LaunchEnvironment) throws -> ProcessGroup {
        if environment.worldSize == 1 { return .single }
        let store: RendezvousStore
        do {
            store = try RendezvousStore.tcp(
                host: environment.masterHost, port: environment.masterPort, isServer: environment.rank == 0 && !environment.launcherServes,
                worldSize: environment.worldSize, listeningDescriptor: environment.listeningDescriptor, timeout: environment.timeout
            ).prefixed("linnet/\(environment.attempt)")
        } catch {
            if !CollectiveBackend.isAvailable { throw DistributedError.unavailable("\(error)") }
            throw DistributedError.rendezvous(
                rank: environment.rank, worldSize: environment.worldSize,
                detail: "\(error) (rank 0 is expected at \(environment.masterHost):\(environment.masterPort))")
        }
        func group(_ store: RendezvousStore, withGPUs: Bool) throws -> ProcessGroup {
            try ProcessGroup(
                store: store, rank: environment.rank, worldSize: environment.worldSize, localRank: environment.localRank,
                interface: environment.interface, peer: environment.masterHost, timeout: environment.timeout, withGPUs: withGPUs)
        }
        let plain: ProcessGroup = try group(store, withGPUs: false)
        let own: Tensor = Tensor([Int64(environment.localRank < Device.cudaCount ? 1 : 0)], device: .cpu)
        try plain.allReduce(own, .minimum)
        guard own.item(Int64.self) == 1 else { return plain }
        Device.default = .cuda(environment.localRank)
        return try group(store.prefixed("gpus"), withGPUs: true)
    }
}
