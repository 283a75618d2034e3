/// What one rank has sent: operations and logical bytes, counted by formula and not by what a transport adds.
///
/// Of P ranks, for a payload of b bytes on each: a ring all-reduce sends `2 b (P-1)/P` per rank, a reduce-scatter of b bytes in all `b (P-1)/P`,
/// an all-gather `(P-1) b`, a broadcast of b bytes `b (P-1)/P` (the mean over the ranks), an all-to-all what goes to others, a send b.
public struct CommStats: Sendable, Equatable, Codable {
    public var operations: Int = 0
    public var bytes: Double = 0

    public init(operations: Int = 0, bytes: Double = 0) {
        self.operations = operations
        self.bytes = bytes
    }

    public static func + (left: CommStats, right: CommStats) -> CommStats {
        CommStats(operations: left.operations + right.operations, bytes: left.bytes + right.bytes)
    }

    public static func - (left: CommStats, right: CommStats) -> CommStats {
        CommStats(operations: left.operations - right.operations, bytes: left.bytes - right.bytes)
    }

    /// Seconds that a network needs for it.
    public func seconds(on network: NetworkModel) -> Double {
        Double(operations) * network.latency + bytes / network.bandwidth
    }
}

/// The alpha-beta model of a network: an operation of b bytes takes `latency + b / bandwidth`.
public struct NetworkModel: Sendable, Equatable, Codable {
    /// Seconds an operation.
    public let latency: Double
    /// Bytes a second.
    public let bandwidth: Double

    /// Traps unless the latency is at least 0 and the bandwidth above 0.
    public init(latency: Double, bandwidth: Double) {
        precondition(latency >= 0 && bandwidth > 0, "a network of latency \(latency) s and bandwidth \(bandwidth) bytes/s")
        self.latency = latency
        self.bandwidth = bandwidth
    }

    /// - Parameters:
    ///   - gigabits: a second.
    ///   - latency: in seconds.
    public static func ethernet(gigabits: Double, latency: Double = 50e-6) -> NetworkModel {
        NetworkModel(latency: latency, bandwidth: gigabits * 1e9 / 8)
    }
}
