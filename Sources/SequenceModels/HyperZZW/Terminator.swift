import NN
import Torch

/// The shape of a ``Terminator``.
public struct TerminatorConfiguration: Codable, Sendable, Hashable {
    /// Channels of the images.
    public var inputChannels: Int
    public var classes: Int
    /// Channels that a 1 × 1 convolution makes of the images first; nil leaves it out.
    public var stemChannels: Int?
    /// Factor on the channels of each block.
    public var factors: [Int]
    /// Layers of each block's global slow network.
    public var layers: [Int]
    /// How many earlier blocks' outputs each block takes in beside its input: from the one before last backwards.
    public var earlier: [Int]
    /// Probability with which each block leaves out channels while training.
    public var dropout: [Double]
    /// What the blocks share.
    public var block: SFNEConfiguration

    /// The paper's five blocks are the default.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        inputChannels: Int, classes: Int, stemChannels: Int? = nil, factors: [Int] = [4, 3, 2, 2, 2], layers: [Int] = [3, 2, 2, 2, 2],
        earlier: [Int] = [0, 0, 1, 1, 2], dropout: [Double] = [0, 0.05, 0.05, 0.05, 0.05], block: SFNEConfiguration
    ) throws {
        self.inputChannels = inputChannels
        self.classes = classes
        self.stemChannels = stemChannels
        self.factors = factors
        self.layers = layers
        self.earlier = earlier
        self.dropout = dropout
        self.block = block
        try validate()
    }

    /// A Terminator for small images: at most five blocks, from 4 channels by way of 12 to 24, 48, 96 and 192.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public static func compact(
        inputChannels: Int, classes: Int, blocks: Int = 3, dropout: Double = 0.05, block: SFNEConfiguration
    ) throws -> TerminatorConfiguration {
        if !(1...5).contains(blocks) { throw ConfigurationError("a Terminator of \(blocks) blocks; it has 1 to 5") }
        return try TerminatorConfiguration(
            inputChannels: inputChannels, classes: classes, stemChannels: 4, factors: Array([3, 2, 2, 2, 2].prefix(blocks)),
            layers: Array([3, 2, 2, 2, 2].prefix(blocks)), earlier: Array([0, 0, 1, 1, 2].prefix(blocks)),
            dropout: (0..<blocks).map { $0 == 0 ? 0 : dropout }, block: block)
    }

    /// Channels before the first block and after each.
    public var channels: [Int] { factors.reduce(into: [stemChannels ?? inputChannels]) { $0.append($0[$0.count - 1] * $1) } }

    private func validate() throws {
        try block.validate()
        for (name, value) in [("inputChannels", inputChannels), ("stemChannels", stemChannels ?? 1)] where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if classes < 2 { throw ConfigurationError("model.classes is \(classes); it has to be at least 2") }
        if factors.isEmpty || factors.contains(where: { $0 < 1 }) {
            throw ConfigurationError("model.factors is \(factors); it has to be at least one number, each at least 1")
        }
        let lists: [(String, Int)] = [("layers", layers.count), ("earlier", earlier.count), ("dropout", dropout.count)]
        for (name, count) in lists where count != factors.count {
            throw ConfigurationError("model.\(name) has \(count) entries; it has to have one for each of the \(factors.count) factors")
        }
        try validateBlocks()
    }

    private func validateBlocks() throws {
        for index in factors.indices {
            if layers[index] < 0 { throw ConfigurationError("model.layers[\(index)] is \(layers[index]); it has to be at least 0") }
            if !(0...max(0, index - 1)).contains(earlier[index]) {
                throw ConfigurationError(
                    "model.earlier[\(index)] is \(earlier[index]); block \(index) has at most \(max(0, index - 1)) earlier blocks to take in"
                )
            }
            if !(0..<1).contains(dropout[index]) {
                throw ConfigurationError("model.dropout[\(index)] is \(dropout[index]); it has to lie in 0 ..< 1")
            }
            let outputs: Int = channels[index + 1]
            if outputs < 2 || outputs % block.groups != 0 {
                throw ConfigurationError(
                    "block \(index) has \(outputs) channels, which have to be at least 2 and divide into model.groups = \(block.groups)")
            }
        }
    }
}

/// A classifier of square images by blocks of slow and fast networks, without residual connections, attention or downsampling (Zhang, 2024,
/// *HyperZ·Z·W Operator Connects Slow-Fast Networks for Full Context Interaction*, arXiv 2401.17948).
///
/// A sequence of S² steps is read as an image by ``squareImages(_:)``.
public final class Terminator: Module {
    public let stem: Conv2d?
    public let blocks: [SFNEBlock]
    public let head: Conv2d
    public let configuration: TerminatorConfiguration

    /// - Parameters:
    ///   - configuration: channels, blocks and slow networks.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(_ configuration: TerminatorConfiguration, generator: RandomGenerator? = nil) {
        let c: TerminatorConfiguration = configuration
        let channels: [Int] = c.channels
        self.configuration = c
        stem = c.stemChannels.map { Conv2d(c.inputChannels, $0, kernelSize: 1, generator: generator) }
        blocks = c.factors.indices.map {
            SFNEBlock(
                channels: channels[$0], factor: c.factors[$0], layers: c.layers[$0], earlier: c.earlier[$0], dropout: c.dropout[$0],
                configuration: c.block, generator: generator)
        }
        head = Conv2d(channels[channels.count - 1], c.classes, kernelSize: 1, generator: generator)
        super.init()
    }

    /// - Parameter images: `[B, C, S, S]`.
    /// - Returns: logits `[B, classes]`, the mean of every place's scores, and the ``slowNeuralLoss(_:)`` of the blocks' hyper-kernels.
    public func callAsFunction(_ images: Tensor) -> (logits: Tensor, slowLoss: Tensor) {
        let (features, kernels): ([Tensor], [Tensor]) = features(images)
        let last: Int = blocks.count - 1
        return (head(blocks[last].activated(features[last])).mean(axes: [2, 3]), slowNeuralLoss(kernels))
    }

    /// What each block's activation is applied to, `[B, C_i, S, S]`, and each block's global hyper-kernel.
    public func features(_ images: Tensor) -> (features: [Tensor], kernels: [Tensor]) {
        let side: Int = configuration.block.side
        precondition(
            images.ndim == 4 && Array(images.shape.dropFirst()) == [configuration.inputChannels, side, side],
            "Terminator needs images [B, \(configuration.inputChannels), \(side), \(side)], not \(images.shape)")
        var outputs: [Tensor] = []
        var features: [Tensor] = []
        var kernels: [Tensor] = []
        var x: Tensor = stem.map { $0(images) } ?? images
        for (index, block) in blocks.enumerated() {
            let earlier: [Tensor] = (0..<configuration.earlier[index]).map { outputs[index - 2 - $0] }
            let (found, kernel): (Tensor, Tensor) = block.features(x, earlier: earlier)
            x = block.activated(found)
            outputs.append(x)
            features.append(found)
            kernels.append(kernel)
        }
        return (features, kernels)
    }

    // MARK: Slow and fast parameters

    private var slowNetworks: [Module] { namedModules().map(\.module).filter { $0 is MAGNet } }

    /// Elements of the slow networks' parameters.
    public var slowParameterCount: Int { slowNetworks.reduce(0) { $0 + $1.parameterCount } }

    /// The parameters that are no slow network's.
    private lazy var fastParameters: [Tensor] = {
        let slow: Set<ObjectIdentifier> = Set(slowNetworks.flatMap { $0.parameters() }.map { ObjectIdentifier($0) })
        return parameters().filter { !slow.contains(ObjectIdentifier($0)) }
    }()

    /// Label-smoothed cross-entropy, the slow networks' loss and a penalty on the norms of the fast parameters.
    /// - Parameters:
    ///   - images: `[B, C, S, S]`.
    ///   - labels: `[B]`.
    ///   - settings: the weights.
    public func loss(_ images: Tensor, _ labels: Tensor, _ settings: TerminatorLoss = TerminatorLoss()) -> Tensor {
        let (logits, slowLoss): (Tensor, Tensor) = self(images)
        let norms: Tensor = stacked(fastParameters.map { $0.norm() }).sum()
        return crossEntropy(logits, labels, labelSmoothing: settings.labelSmoothing) + slowLoss * settings.slowWeight + norms
            * settings.normWeight
    }
}

/// The weights of a ``Terminator``'s loss; the defaults are the paper's.
public struct TerminatorLoss: Codable, Sendable, Hashable {
    public var labelSmoothing: Double
    public var slowWeight: Double
    public var normWeight: Double

    public init(labelSmoothing: Double = 0.09, slowWeight: Double = 1, normWeight: Double = 5e-5) {
        self.labelSmoothing = labelSmoothing
        self.slowWeight = slowWeight
        self.normWeight = normWeight
    }
}

/// How far deeper hyper-kernels are from shallower ones, `Σ_{i > j} mean((tile(K_j) − K_i)²)` (arXiv 2401.17948, section 3.6): the local feedback
/// of the slow networks. Tiling repeats the channels until there are as many.
/// - Parameter kernels: `[1, C_i, S, S]`, each C a multiple of those before.
/// - Returns: a scalar; 0 for fewer than two kernels.
public func slowNeuralLoss(_ kernels: [Tensor]) -> Tensor {
    guard let first = kernels.first else { return .zeros([]) }
    let losses: [Tensor] = kernels.indices.flatMap { deep in
        (0..<deep).map { shallow in
            meanSquaredError(kernels[shallow].tiled([1, kernels[deep].dim(1) / kernels[shallow].dim(1), 1, 1]), kernels[deep])
        }
    }
    return losses.isEmpty ? .zeros([], dtype: first.dtype, device: first.device) : stacked(losses).sum()
}

/// A sequence `[B, S², C]` as images `[B, C, S, S]`, row by row. Traps for a length that is no square.
public func squareImages(_ sequence: Tensor) -> Tensor {
    let length: Int = sequence.dim(1)
    let side: Int = Int(Double(length).squareRoot().rounded())
    precondition(side * side == length, "a sequence of \(length) steps is no square image")
    return sequence.reshaped(sequence.dim(0), side, side, sequence.dim(2)).transposed(0, 3, 1, 2).contiguous()
}
