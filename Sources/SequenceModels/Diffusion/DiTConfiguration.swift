import Torch

/// The attention of a ``DiT``'s blocks.
public enum DiTAttention: String, Codable, Sendable, CaseIterable {
    /// ``FullSoftmaxAttention``, as in DiT.
    case softmax
    /// ``SimplifiedLinearAttention``, as in LiT.
    case linear
}

/// The shape of a ``DiT``.
public struct DiTConfiguration: Codable, Sendable, Equatable {
    /// Rows and columns of an image.
    public var imageSize: Int
    /// Rows and columns of a patch, which becomes one token.
    public var patchSize: Int
    /// Channels of an image, C.
    public var channels: Int
    /// Number of labels; one more, the null class, stands for "no label".
    public var classes: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    /// Blocks.
    public var depth: Int
    public var heads: Int
    public var attention: DiTAttention
    /// Side of the depth-wise convolution of linear attention; nil leaves it out.
    public var kernel: Int?
    /// Width inside the feed-forward, as a multiple of D.
    public var feedForwardRatio: Int
    /// Share of the labels that are replaced by the null class while training.
    public var labelDropout: Double
    /// Steps T of the diffusion that the model was trained with.
    public var diffusionSteps: Int

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        imageSize: Int, patchSize: Int = 2, channels: Int, classes: Int, dimensions: Int, depth: Int, heads: Int,
        attention: DiTAttention = .softmax, kernel: Int? = 5, feedForwardRatio: Int = 4, labelDropout: Double = 0.1,
        diffusionSteps: Int = 1000
    ) throws {
        self.imageSize = imageSize
        self.patchSize = patchSize
        self.channels = channels
        self.classes = classes
        self.dimensions = dimensions
        self.depth = depth
        self.heads = heads
        self.attention = attention
        self.kernel = kernel
        self.feedForwardRatio = feedForwardRatio
        self.labelDropout = labelDropout
        self.diffusionSteps = diffusionSteps
        try validate()
    }

    /// Patches along each side.
    public var gridSize: Int { imageSize / patchSize }

    /// The label that stands for "no label".
    public var nullClass: Int { classes }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range. A configuration read from a file has not been
    ///   checked yet; ``DiT/init(_:generator:)`` does.
    public func validate() throws {
        let positive: [(String, Int)] = [
            ("imageSize", imageSize), ("patchSize", patchSize), ("channels", channels), ("classes", classes), ("dimensions", dimensions),
            ("depth", depth), ("heads", heads), ("feedForwardRatio", feedForwardRatio),
        ]
        for (name, value) in positive where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if imageSize % patchSize != 0 {
            throw ConfigurationError("model.imageSize is \(imageSize); patches of \(patchSize) pixels have to divide it")
        }
        if dimensions % 4 != 0 {
            throw ConfigurationError("model.dimensions is \(dimensions); it has to be a multiple of 4, for sines and cosines of both axes")
        }
        if dimensions % heads != 0 { throw ConfigurationError("model.dimensions is \(dimensions); \(heads) heads have to divide it") }
        if let kernel, kernel < 1 || kernel % 2 == 0 {
            throw ConfigurationError("model.kernel is \(kernel); it has to be odd and at least 1")
        }
        if !(0..<1).contains(labelDropout) {
            throw ConfigurationError("model.labelDropout is \(labelDropout); it has to lie in 0 ..< 1")
        }
        if diffusionSteps < GaussianDiffusion.fewestSteps {
            throw ConfigurationError("model.diffusionSteps is \(diffusionSteps); it has to be at least \(GaussianDiffusion.fewestSteps)")
        }
    }
}
