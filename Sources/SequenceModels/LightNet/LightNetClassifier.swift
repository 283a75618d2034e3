import NN
import Torch

/// What mixes the patches of a ``LightNetClassifier``.
public enum PatchMixing: Codable, Sendable, Hashable {
    /// ``LightNetAttention``: every patch reads all in one scan.
    case additive
    /// ``GatedLinearAttention`` in 1, 2 or 4 scans (``MultiScan``), the baseline.
    case gated(scans: Int)
}

/// The shape of a ``LightNetClassifier``.
public struct LightNetClassifierConfiguration: Codable, Sendable, Equatable {
    /// Colours of a pixel.
    public var channels: Int
    /// Pixels to a side of the image.
    public var side: Int
    /// Pixels to a side of a patch.
    public var patch: Int
    public var classes: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var heads: Int
    public var mixing: PatchMixing
    /// Whether places are told apart: ``MultiDimTPE`` after the embedding and, with additive mixing, ``MultiDimLRPE`` in the layers.
    public var positions: Bool
    /// Width inside the gated feed-forward; nil takes 8/3 · D, rounded up to a multiple of 16.
    public var feedForwardDimensions: Int?

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        channels: Int, side: Int, patch: Int, classes: Int, dimensions: Int, layers: Int, heads: Int, mixing: PatchMixing = .additive,
        positions: Bool = true, feedForwardDimensions: Int? = nil
    ) throws {
        self.channels = channels
        self.side = side
        self.patch = patch
        self.classes = classes
        self.dimensions = dimensions
        self.layers = layers
        self.heads = heads
        self.mixing = mixing
        self.positions = positions
        self.feedForwardDimensions = feedForwardDimensions
        try validate()
    }

    /// The paper's sizes, which are DeiT's tiny (192 channels), small (384) and base (768): 12 layers, patches of 16 in images of 224 pixels
    /// and a head for every 128 channels.
    /// - Throws: `ConfigurationError` for a width below 1 or fewer than two classes.
    public static func deit(dimensions: Int, classes: Int = 1000) throws -> LightNetClassifierConfiguration {
        try LightNetClassifierConfiguration(
            channels: 3, side: 224, patch: 16, classes: classes, dimensions: dimensions, layers: 12, heads: max(1, dimensions / 128))
    }

    private func validate() throws {
        let positive: [(String, Int)] = [
            ("channels", channels), ("side", side), ("patch", patch), ("dimensions", dimensions), ("layers", layers), ("heads", heads),
            ("feedForwardDimensions", hiddenDimensions),
        ]
        for (name, value) in positive where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if side % patch != 0 { throw ConfigurationError("model.patch is \(patch); it has to divide model.side, which is \(side)") }
        if classes < 2 { throw ConfigurationError("model.classes is \(classes); it has to be at least 2") }
        if dimensions % (2 * heads) != 0 {
            throw ConfigurationError("model.heads is \(heads); twice that has to divide model.dimensions, which is \(dimensions)")
        }
        if case .gated(let scans) = mixing, ![1, 2, 4].contains(scans) {
            throw ConfigurationError("model.mixing scans \(scans) times; it has to be 1, 2 or 4")
        }
    }

    /// Width inside the feed-forward.
    public var hiddenDimensions: Int { feedForwardDimensions ?? (dimensions * 8 / 3 + 15) / 16 * 16 }

    /// Rows and columns of patches.
    public var gridShape: [Int] { [side / patch, side / patch] }

    /// The mixer of a layer.
    public func makeMixer() -> any SequenceMixer {
        switch mixing {
        case .additive:
            return LightNetAttention(
                LightNetConfiguration(
                    dimensions: dimensions, heads: heads, causal: false, gridShape: gridShape,
                    position: positions ? .multiDimensional : .none))
        case .gated(let scans):
            let mixer: GatedLinearAttention = GatedLinearAttention(GatedLinearAttentionConfiguration(dimensions: dimensions, heads: heads))
            return multiScan(mixer, directions: scans, gridShape: gridShape)
        }
    }
}

/// Classifies images: patches, ``MultiDimTPE``, pre-norm blocks of a mixer and a gated feed-forward, mean over the patches, linear head.
///
/// Source: arXiv 2405.21022; with ``PatchMixing/gated(scans:)`` the same network around the recurrence it is compared with.
public final class LightNetClassifier: Module {
    public let configuration: LightNetClassifierConfiguration
    @ModuleInfo(key: "patch_embedding") public var patchEmbedding: Conv2d
    @ModuleInfo(key: "tpe") public var positionEncoding: MultiDimTPE?
    @ModuleInfo public var blocks: [SequenceBlock]
    @ModuleInfo public var norm: RMSNorm
    @ModuleInfo public var head: Linear

    /// Linear weights start from N(0, 0.02²), biases at 0.
    public init(_ configuration: LightNetClassifierConfiguration) {
        let c: LightNetClassifierConfiguration = configuration
        self.configuration = c
        super.init()
        patchEmbedding = Conv2d(c.channels, c.dimensions, kernelSize: Pair(c.patch), stride: Pair(c.patch))
        positionEncoding = c.positions ? MultiDimTPE(c.dimensions, heads: c.heads, axes: 2) : nil
        blocks = (0..<c.layers).map { _ in
            SequenceBlock(dimensions: c.dimensions, hiddenDimensions: c.hiddenDimensions, mixer: c.makeMixer())
        }
        norm = RMSNorm(c.dimensions)
        head = Linear(c.dimensions, c.classes)
        initializeNormal()
    }

    /// Images `[B, channels, side, side]` to logits `[B, classes]`.
    public func callAsFunction(_ images: Tensor) -> Tensor { head(features(images).mean(axis: 1)) }

    /// The stream after the final norm, `[B, patches, D]`, row by row.
    public func features(_ images: Tensor) -> Tensor {
        let c: LightNetClassifierConfiguration = configuration
        precondition(
            images.ndim == 4 && images.shape[1...] == [c.channels, c.side, c.side],
            "LightNetClassifier: images [B, \(c.channels), \(c.side), \(c.side)] are needed; shape is \(images.shape)")
        let grid: Tensor = patchEmbedding(images).transposed(0, 2, 3, 1)
        var stream: Tensor = (positionEncoding.map { grid + $0(grid) } ?? grid).flattened(from: 1, to: 2)
        for block in blocks {
            var state: MixerState?
            stream = block(stream, state: &state)
        }
        return norm(stream)
    }
}
