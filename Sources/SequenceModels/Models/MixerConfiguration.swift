import NN
import Torch

/// Which sequence mixer a layer uses, by name, with its options; what is nil takes the mixer's default.
public struct MixerConfiguration: Codable, Sendable, Equatable {
    public var kind: MixerKind
    public var heads: Int
    /// Key width of all heads together, as a multiple of the model's width.
    public var expandKey: Double?
    /// Value width of all heads together, as a multiple of the model's width.
    public var expandValue: Double?
    /// Width of the short causal convolution before the mixer, or of the depth-wise one beside simplified linear attention; 0 leaves it out.
    public var convolution: Int?
    /// Keys that a token sees, itself included (softmax attention, Liger), or steps in a block (`diag-attention`).
    public var window: Int?
    /// Rotary position embedding (softmax and linear attention, retention), LRPE (TransNormer's mixers and their baseline), or for LightNet
    /// rotary embedding in place of its own positions with `true` and no positions with `false`.
    public var rotary: Bool?
    /// State order N (LSSL, Mamba).
    public var order: Int?
    /// A gate on the output (DeltaNet, gated DeltaNet, GLA, MoM).
    public var outputGate: Bool?
    /// Memories that tokens are routed to (MoM).
    public var memories: Int?
    /// Memories that a token is written to and read from (MoM).
    public var activeMemories: Int?
    /// Whether one more memory sees every token (MoM).
    public var sharedMemory: Bool?
    /// How a memory is written (MoM).
    public var memoryBackend: MemoryBackendKind?
    /// Which of TransNormer's two kinds (`norm-attention`, `diag-attention`).
    public var variant: TransNormerVariant?

    public init(
        _ kind: MixerKind, heads: Int = 4, expandKey: Double? = nil, expandValue: Double? = nil, convolution: Int? = nil,
        window: Int? = nil, rotary: Bool? = nil, order: Int? = nil, outputGate: Bool? = nil, memories: Int? = nil,
        activeMemories: Int? = nil, sharedMemory: Bool? = nil, memoryBackend: MemoryBackendKind? = nil,
        variant: TransNormerVariant? = nil
    ) {
        self.kind = kind
        self.heads = heads
        self.expandKey = expandKey
        self.expandValue = expandValue
        self.convolution = convolution
        self.window = window
        self.rotary = rotary
        self.order = order
        self.outputGate = outputGate
        self.memories = memories
        self.activeMemories = activeMemories
        self.sharedMemory = sharedMemory
        self.memoryBackend = memoryBackend
        self.variant = variant
    }
}

/// The mixers that a recipe can name.
public enum MixerKind: String, Codable, Sendable, CaseIterable {
    case gla
    case deltanet
    case gatedDeltanet = "gated-deltanet"
    case hgrn
    case lssl
    case mom
    case softmax
    case linear
    case liger
    case mamba
    case retention
    /// ``SimplifiedLinearAttention``, which is not causal: for classifiers, not for language models.
    case simplifiedLinear = "simplified-linear"
    case normAttention = "norm-attention"
    case diagAttention = "diag-attention"
    case scaledLinear = "scaled-linear"
    case lightnet
}
