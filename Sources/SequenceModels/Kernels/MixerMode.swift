/// How a causal recurrence over time is computed. All forms give the same output, final state and gradients.
public enum MixerMode: Sendable, Hashable {
    /// One step after another: the definition, and the cheapest form for a few tokens.
    case recurrent
    /// Matrix products inside chunks of this many steps and a recurrence over chunks: the form for training and prefill. The fused
    /// kernels (float32 on the CPU, see `FusedKernels`) have a chunk length of their own.
    case chunkwise(Int)
    /// One chunk as long as the sequence: quadratic in time.
    case parallel

    /// Sequences up to this length run recurrently when no mode is given.
    public static let longestRecurrence: Int = 8

    /// Longest chunk when no mode is given (sequences are cut into equal ones): on a CPU at least as fast as 16 and 64 for heads of 32 and 64 channels.
    public static let defaultChunk: Int = 32

    /// The chunk length for a sequence of `length` steps, or nil for the recurrence. Traps for a chunk below 1.
    static func chunk(for mode: MixerMode?, length: Int) -> Int? {
        switch mode {
        case .recurrent: return nil
        case .parallel: return length
        case .chunkwise(let chunk):
            precondition(chunk > 0, "a chunk needs at least one step, not \(chunk)")
            return min(chunk, length)
        case nil:
            if length <= longestRecurrence { return nil }
            let chunks: Int = (length + defaultChunk - 1) / defaultChunk
            return (length + chunks - 1) / chunks
        }
    }
}
