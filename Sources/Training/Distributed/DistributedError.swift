import Torch

/// Why several processes could not work together, as one line.
public enum DistributedError: Error, CustomStringConvertible, Sendable, Equatable {
    /// libtorch was built without c10d or gloo.
    case unavailable(String)
    /// Variables of the environment that contradict one another or are no numbers.
    case environment(String)
    /// The members did not find one another.
    case rendezvous(rank: Int, worldSize: Int, detail: String)
    /// An operation did not end within the group's timeout.
    case timedOut(operation: String, rank: Int, seconds: Double)
    /// A member ended or cut the connection in the middle of an operation.
    case peerLost(operation: String, rank: Int, detail: String)
    /// An operation failed for another reason.
    case failed(operation: String, rank: Int, detail: String)
    /// Members that have to hold the same parameters do not.
    case diverged(rank: Int, detail: String)

    /// Replicas whose checksums are not the same.
    static func replicasDiffer(rank: Int) -> DistributedError {
        let advice: String = "start again from the last checkpoint, and look for work that is not the same on all ranks"
        return .diverged(rank: rank, detail: "their checksums differ; \(advice)")
    }

    /// Ranks that have read checkpoints of several steps.
    static func startsApart(rank: Int, steps: [Int]) -> DistributedError {
        .diverged(rank: rank, detail: "they start from checkpoints of the steps \(steps); let all of them read the same folder")
    }

    public var description: String {
        switch self {
        case .unavailable(let detail): "several processes cannot work together: \(detail)"
        case .environment(let detail): detail
        case .rendezvous(let rank, let worldSize, let detail):
            "rank \(rank) did not find the other \(worldSize - 1) of \(worldSize) processes: \(detail)"
        case .timedOut(let operation, let rank, let seconds):
            "rank \(rank): \(operation) did not end within \(seconds.formatted()) s; another rank hangs or is far behind"
        case .peerLost(let operation, let rank, let detail):
            "rank \(rank): another rank ended during \(operation) (\(detail)); look at its own message, and continue from the last checkpoint"
        case .failed(let operation, let rank, let detail): "rank \(rank): \(operation) failed: \(detail)"
        case .diverged(let rank, let detail): "rank \(rank): the ranks no longer hold the same parameters: \(detail)"
        }
    }

    /// libtorch tells its failures apart by their words only.
    static func of(_ error: any Error, operation: String, rank: Int, timeout: Double) -> any Error {
        guard let error = error as? TorchError else { return error }
        let detail: String = shortened(error.description)
        let words: String = detail.lowercased()
        if words.contains("timed out") || words.contains("timeout") {
            return DistributedError.timedOut(operation: operation, rank: rank, seconds: timeout)
        }
        let signs: [String] = ["connection", "closed by peer", "broken pipe", "socket", "reset by peer"]
        if signs.contains(where: words.contains) { return DistributedError.peerLost(operation: operation, rank: rank, detail: detail) }
        return DistributedError.failed(operation: operation, rank: rank, detail: detail)
    }

    /// Without the operation's name in front and the source file that gloo puts there.
    private static func shortened(_ text: String) -> String {
        var rest: Substring = text[...]
        if let colon = rest.range(of: ": ") { rest = rest[colon.upperBound...] }
        if rest.hasPrefix("["), let close = rest.range(of: "] ") { rest = rest[close.upperBound...] }
        return String(rest)
    }
}
