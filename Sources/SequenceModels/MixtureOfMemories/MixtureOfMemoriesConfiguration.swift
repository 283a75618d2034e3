import Torch

/// What a ``MixtureOfMemories`` is made of.
public struct MixtureOfMemoriesConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream, D.
    public var dimensions: Int
    public var heads: Int
    /// Channels of a head's queries and keys, K.
    public var headDimensions: Int
    /// Channels of a head's values, V.
    public var valueHeadDimensions: Int
    /// Memories that tokens are routed to, N.
    public var memories: Int
    /// Memories that a token is written to and read from, k.
    public var topK: Int
    /// One more memory that sees every token and is read with weight 1.
    public var sharedMemory: Bool
    /// How a memory is written.
    public var backend: MemoryBackendKind
    /// One set of projections of keys, values and controls for all memories, instead of one for each.
    public var singleKeyValue: Bool
    /// Steps that the short convolutions of q, k and v see; nil is no convolution.
    public var convolutionWidth: Int?
    /// Whether the mixed output is gated by `silu(W_g x)`.
    public var useOutputGate: Bool
    /// c: a memory takes at most the newest `⌈T · c / k⌉` of a call's T tokens. Nil takes all. With a limit, what is read depends on later
    /// tokens and on how a sequence is cut into calls.
    public var capacity: Double?
    /// Weight of the balance of the router in the training loss.
    public var auxiliaryLossWeight: Double

    public init(
        dimensions: Int, heads: Int, headDimensions: Int, valueHeadDimensions: Int? = nil, memories: Int = 4, topK: Int = 2,
        sharedMemory: Bool = true, backend: MemoryBackendKind = .gatedDelta, singleKeyValue: Bool = false, convolutionWidth: Int? = 4,
        useOutputGate: Bool = true, capacity: Double? = nil, auxiliaryLossWeight: Double = 0.01
    ) {
        self.dimensions = dimensions
        self.heads = heads
        self.headDimensions = headDimensions
        self.valueHeadDimensions = valueHeadDimensions ?? headDimensions
        self.memories = memories
        self.topK = topK
        self.sharedMemory = sharedMemory
        self.backend = backend
        self.singleKeyValue = singleKeyValue
        self.convolutionWidth = convolutionWidth
        self.useOutputGate = useOutputGate
        self.capacity = capacity
        self.auxiliaryLossWeight = auxiliaryLossWeight
    }

    var keyDimensions: Int { heads * headDimensions }
    var valueDimensions: Int { heads * valueHeadDimensions }
    /// Memories of all kinds.
    var allMemories: Int { memories + (sharedMemory ? 1 : 0) }

    /// Most tokens that a memory takes out of `length`.
    func room(length: Int) -> Int? { capacity.map { max(1, Int((Double(length) * $0 / Double(topK)).rounded(.up))) } }
}
