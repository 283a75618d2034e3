import Torch
import Training

/// A way to send gradients in fewer bytes, with one number that says how strongly: the rank, the bits, or the number of elements that are kept.
///
/// A compressor keeps what its method carries from step to step (random streams, warm starts) for each layer by its position, so one object
/// belongs to one rank of one training run. Error feedback is the caller's (``LGreCo``).
public protocol GradientCompressor: AnyObject {
    /// What recipes and checkpoints call the method.
    static var name: String { get }

    /// What the method carries from step to step, the same on every rank; empty by default.
    var state: [String: Tensor] { get }

    /// Takes what ``state`` was.
    func load(_ state: [String: Tensor])

    /// Whether a layer of this shape is worth compressing at this reference; the others are sent as they are.
    func compresses(_ shape: [Int], reference: Double) -> Bool

    /// The layer's number at a reference setting that all layers share (a rank, bits, or a density).
    func parameter(_ shape: [Int], reference: Double) -> Int

    /// The numbers among which a layer's is chosen, ascending, that of the reference among them. The larger, the closer and the longer.
    func candidates(_ shape: [Int], reference: Double) -> [Int]

    /// Bytes of a layer's message: of the codes that one rank gives to the others, or of the factors that are summed.
    func size(_ shape: [Int], _ parameter: Int) -> Int

    /// The 2-norm of what is lost of a gradient by compressing it, for each candidate: non-increasing, not squared.
    func errorTable(_ gradient: Tensor, _ candidates: [Int]) -> [Double]

    /// Compresses, exchanges and decompresses the gradients of all layers.
    /// - Parameters:
    ///   - inputs: one for each layer, with the residual of the steps before added.
    ///   - parameters: one for each layer, the same on every rank.
    ///   - group: the ranks.
    /// - Throws: `DistributedError`.
    func exchange(_ inputs: [Tensor], _ parameters: [Int], over group: ProcessGroup) throws -> CompressedExchange
}

extension GradientCompressor {
    public var state: [String: Tensor] { [:] }
    public func load(_ state: [String: Tensor]) {}
}

/// What came of an exchange.
public struct CompressedExchange {
    /// What this rank's message stands for, layer by layer; the input without it is the residual.
    public let sent: [Tensor]
    /// The means of all ranks' messages, the same bits on every rank.
    public let means: [Tensor]
}

/// Messages whose length all ranks know, put together into one and sent to all.
enum GatheredMessages {
    /// - Parameter messages: bytes of each layer's message.
    /// - Returns: for each rank, the messages of all layers.
    static func exchange(_ messages: [Tensor], over group: ProcessGroup) throws -> [[Tensor]] {
        let sizes: [Int] = messages.map(\.count)
        return try group.allGather(concatenated(messages)).map { $0.split(sizes: sizes) }
    }

    /// The bytes of a tensor.
    static func bytes(_ tensor: Tensor) -> Tensor { tensor.contiguous().flattened().reinterpreted(as: .uint8) }

    /// The elements that part of a message stands for.
    static func elements(_ message: Tensor, from start: Int, count: Int, as dtype: DType) -> Tensor {
        message.narrowed(axis: 0, start: start, length: count * dtype.byteCount).cloned().reinterpreted(as: dtype)
    }
}
