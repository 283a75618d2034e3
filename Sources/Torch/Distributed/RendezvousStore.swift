import CTorch

/// Where the members of a process group find one another: a table of keys and values that all of them see (c10d's `Store`).
///
/// Safe to use from several threads.
public final class RendezvousStore: Sendable {
    nonisolated(unsafe) let handle: CTStore

    private init(_ make: (UnsafeMutablePointer<CTStore?>) -> Int32) throws {
        var result: CTStore?
        if make(&result) != 0 { throw TorchError.last("rendezvous") }
        handle = result!
    }

    deinit { ct_release_store(handle) }

    /// For threads of one process.
    /// - Throws: ``TorchError`` where libtorch has no c10d, as do the others.
    public static func inMemory() throws -> RendezvousStore { try RendezvousStore { ct_store_hash($0) } }

    /// For processes that share a file system. The file must not be left from an earlier group.
    public static func file(_ path: String, worldSize: Int) throws -> RendezvousStore {
        try RendezvousStore { ct_store_file(path, Int32(worldSize), $0) }
    }

    /// For processes that reach `host`, where one of them serves the table.
    /// - Parameters:
    ///   - host: name or address of the server's machine.
    ///   - port: that it listens on.
    ///   - isServer: true for exactly one process.
    ///   - worldSize: number of processes, for which the server waits.
    ///   - listeningDescriptor: a socket that listens on the port already and is taken over by the server.
    ///   - timeout: longest wait for the others, in seconds.
    public static func tcp(
        host: String, port: Int, isServer: Bool, worldSize: Int, listeningDescriptor: Int32? = nil, timeout: Double
    ) throws -> RendezvousStore {
        try RendezvousStore {
            ct_store_tcp(host, Int32(port), isServer, Int32(worldSize), listeningDescriptor ?? -1, milliseconds(timeout), $0)
        }
    }

    /// A part of this store with names of its own, for another group over the same members.
    public func prefixed(_ prefix: String) throws -> RendezvousStore {
        try RendezvousStore { ct_store_prefix(prefix, handle, $0) }
    }
}

extension TorchError {
    /// What the last failed call of this thread said, in one line.
    static func last(_ name: String) -> TorchError {
        let text: String = String(cString: ct_last_error())
        return TorchError("\(name): \(text.split(separator: "\n", maxSplits: 1).first ?? "unknown failure")")
    }
}

func milliseconds(_ seconds: Double) -> Int64 { Int64((seconds * 1000).rounded(.up)) }
