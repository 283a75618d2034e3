import NN
import Torch

/// Trains one model on several ranks, each of which sees its part of the batch: gradients are averaged over the ranks.
///
/// The ranks start from the parameters of rank 0. Gradients are exchanged in buckets, each as soon as it is full and while the backward pass goes on;
/// an exchange of one's own (see ``GradientExchange``) takes their place and runs after the pass.
///
///     let parallel = try DistributedDataParallel(model, group: try .fromEnvironment())
///     let (loss, gradients) = try parallel.valueAndGradients { model.loss(part) }
///     optimizer.step(gradients)
public final class DistributedDataParallel {
    public let group: ProcessGroup
    /// Names and tensors of the parameters, in the order of the gradients.
    public let parameters: [(name: String, tensor: Tensor)]
    private let replicated: [Tensor]
    let exchange: (any GradientExchange)?
    private let buckets: GradientBuckets
    private var hooks: [GradientHook] = []

    public static let defaultBucketBytes: Int = 4 << 20

    /// Gives all ranks the parameters and buffers of rank 0.
    /// - Parameters:
    ///   - model: the same on every rank.
    ///   - group: the ranks.
    ///   - hook: replaces the plain all-reduce.
    ///   - bucketBytes: most of a bucket.
    /// - Throws: ``DistributedError``.
    public convenience init(
        _ model: Module, group: ProcessGroup, hook: (any GradientExchange)? = nil, bucketBytes: Int = defaultBucketBytes
    ) throws {
        try self.init(
            model, parameters: model.namedParameters().filter(\.tensor.requiresGrad), group: group, hook: hook, bucketBytes: bucketBytes)
    }

    /// As the other, for parameters in an order of one's own (that of an optimizer).
    public init(
        _ model: Module, parameters: [(name: String, tensor: Tensor)], group: ProcessGroup, hook: (any GradientExchange)? = nil,
        bucketBytes: Int = defaultBucketBytes
    ) throws {
        self.group = group
        self.parameters = parameters
        exchange = hook
        replicated = model.stateTensors().map(\.1)
        buckets = GradientBuckets(parameters.map(\.tensor), group: group, bytes: bucketBytes)
        guard group.worldSize > 1 else { return }
        try synchronize()
        guard hook == nil else { return }
        hooks = parameters.enumerated().map { [buckets] index, parameter in
            GradientHook(on: parameter.tensor) { buckets.put(index, gradient: $0) }
        }
    }

    /// Number of buckets, and of those whose exchange began during the latest backward pass.
    public var bucketCounts: (all: Int, overlapped: Int) { (buckets.count, buckets.overlapped) }

    /// Gives all ranks the parameters and buffers of rank 0.
    /// - Throws: ``DistributedError``.
    public func synchronize() throws {
        guard group.worldSize > 1 else { return }
        try noGrad { for tensor in replicated { try group.broadcastAny(tensor, from: 0) } }
    }

    /// The loss of this rank's part, and the gradients of the mean loss over all parts.
    /// - Parameter loss: a scalar, the mean over the part; parts are of one size.
    /// - Throws: ``DistributedError``, or what `loss` throws.
    public func valueAndGradients(_ loss: () throws -> Tensor) throws -> (value: Tensor, gradients: [Tensor]) {
        let tensors: [Tensor] = parameters.map(\.tensor)
        guard group.worldSize > 1, exchange == nil else {
            let (value, own) = try valueAndGrad(of: tensors, loss)
            return (value, try average(own))
        }
        buckets.begin()
        defer { buckets.abandon() }
        let (value, own) = try valueAndGrad(of: tensors, loss)
        return (value, try buckets.finish(own))
    }

    /// The mean over the ranks of gradients that are there already (after accumulation, for instance); nil counts as zeros.
    /// - Throws: ``DistributedError``.
    public func average(_ gradients: [Tensor?]) throws -> [Tensor] {
        precondition(gradients.count == parameters.count, "\(gradients.count) gradients for \(parameters.count) parameters")
        if exchange == nil, group.worldSize > 1 {
            buckets.begin()
            return try buckets.finish(gradients)
        }
        let own: [Tensor] = zip(gradients, parameters).map { $0 ?? $1.tensor.detached().zerosLike() }
        guard let exchange else { return own }
        return try exchange.average(own, over: group)
    }

    /// Checks that all ranks hold the same bits in parameters and buffers.
    /// - Throws: ``DistributedError/diverged(rank:detail:)`` on every rank where they do not.
    public func checkReplicas() throws {
        if try group.holdsSame(replicated) { return }
        throw DistributedError.replicasDiffer(rank: group.rank)
    }
}

/// Sums over the bits of tensors.
enum Replicas {
    /// A 64-bit sum in which every 32 bits count by their place, so that exchanged values are seen too.
    static func checksum(_ tensors: [Tensor]) -> Int64 {
        noGrad {
            tensors.reduce(0) { sum, tensor in
                let elements: Tensor = tensor.detached().to(device: .cpu).contiguous().flattened()
                if elements.count == 0 { return sum }
                let bits: Tensor = elements.reinterpreted(as: integer(of: elements.dtype.byteCount)).asType(.int64)
                let weights: Tensor = Tensor.arange(bits.count, dtype: .int64, device: .cpu) * 2 + 1
                return (sum &* 31) &+ (bits * weights).sum().item(Int64.self)
            }
        }
    }

    private static func integer(of bytes: Int) -> DType { bytes == 1 ? .uint8 : bytes == 2 ? .int16 : .int32 }
}

extension ProcessGroup {
    /// Whether all ranks hold the same bits in these tensors; to be called on all ranks.
    /// - Throws: ``DistributedError``.
    public func holdsSame(_ tensors: [Tensor]) throws -> Bool {
        let own: Int64 = Replicas.checksum(tensors)
        let (low, high): (Tensor, Tensor) = (Tensor([own], device: .cpu), Tensor([own], device: .cpu))
        try allReduce(low, .minimum)
        try allReduce(high, .maximum)
        return low.item(Int64.self) == high.item(Int64.self)
    }

    /// Broadcasts a tensor that may be strided, on another device, or of a type that c10d does not know.
    func broadcastAny(_ tensor: Tensor, from root: Int) throws {
        let plain: Tensor = tensor.detached().to(device: .cpu)
        let payload: Tensor = (plain.dtype == .bool ? plain.asType(.uint8) : plain).contiguous()
        try broadcast(payload, from: root)
        if rank != root, !payload.sharesStorage(with: tensor) { tensor.detached().copy_(from: payload) }
    }
}
