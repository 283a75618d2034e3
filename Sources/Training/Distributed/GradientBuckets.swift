import Torch

/// Gradients gathered into few flat tensors, on the GPU where the group exchanges such and else in the host's memory, each averaged over the ranks as soon as it is full, while the backward pass goes on.
///
/// Parameters are taken from the last to the first, which is about the order in which their gradients come. Buckets start in their own order on
/// every rank, whatever the order in which they fill.
final class GradientBuckets {
    private final class Bucket {
        /// Positions of the parameters, and where their elements begin.
        var places: [(parameter: Int, offset: Int)] = []
        var count: Int = 0
        var missing: Int = 0
        var flat: Tensor?
        var work: CollectiveWork?
    }

    private let shapes: [[Int]]
    private let parameters: [Tensor]
    private let group: ProcessGroup
    private var buckets: [Bucket] = []
    /// Bucket and offset of each parameter.
    private var homes: [(bucket: Int, offset: Int)] = []
    private var filled: [Bool] = []
    private var next: Int = 0
    private var failure: (any Error)?
    /// Buckets whose exchange began before the backward pass had ended, in the latest pass.
    private(set) var overlapped: Int = 0
    private var isCollecting: Bool = false

    var count: Int { buckets.count }

    /// - Parameters:
    ///   - parameters: whose gradients are exchanged.
    ///   - group: with whom.
    ///   - bytes: most of a bucket, unless one parameter alone has more.
    init(_ parameters: [Tensor], group: ProcessGroup, bytes: Int) {
        self.parameters = parameters
        self.group = group
        shapes = parameters.map(\.shape)
        homes = Array(repeating: (0, 0), count: parameters.count)
        for index in parameters.indices.reversed() { place(index, bytes: bytes) }
    }

    private func place(_ index: Int, bytes: Int) {
        let parameter: Tensor = parameters[index]
        let fits: Bool =
            buckets.last.map { bucket in
                parameters[bucket.places[0].parameter].dtype == parameter.dtype
                    && parameters[bucket.places[0].parameter].device == parameter.device
                    && (bucket.count + parameter.count) * parameter.dtype.byteCount <= bytes
            } ?? false
        if !fits { buckets.append(Bucket()) }
        let bucket: Bucket = buckets[buckets.count - 1]
        bucket.places.append((index, bucket.count))
        homes[index] = (buckets.count - 1, bucket.count)
        bucket.count += parameter.count
    }

    // MARK: One pass

    /// From now on ``put(_:gradient:)`` fills the buckets.
    func begin() {
        filled = Array(repeating: false, count: parameters.count)
        (next, overlapped, failure, isCollecting) = (0, 0, nil, true)
        for bucket in buckets {
            bucket.missing = bucket.places.count
            let first: Tensor = parameters[bucket.places[0].parameter]
            bucket.flat = Tensor.empty([bucket.count], dtype: first.dtype, device: group.takesGPU ? first.device : .cpu)
            bucket.work = nil
        }
    }

    /// Takes over a gradient, and starts the buckets whose turn it is. Does nothing outside a pass.
    func put(_ index: Int, gradient: Tensor) {
        guard isCollecting, !filled[index] else { return }
        filled[index] = true
        let (number, offset): (Int, Int) = homes[index]
        let bucket: Bucket = buckets[number]
        noGrad {
            bucket.flat!.narrowed(axis: 0, start: offset, length: gradient.count).copy_(from: gradient.reshaped([gradient.count]))
        }
        bucket.missing -= 1
        startFull()
    }

    private func startFull() {
        while failure == nil, next < buckets.count, buckets[next].missing == 0 {
            do { buckets[next].work = try group.startAllReduce(buckets[next].flat!) } catch { failure = error }
            next += 1
        }
    }

    /// Puts what has not come by itself, waits for all buckets and gives the means over the ranks, as views of the buckets.
    /// - Parameter gradients: of this rank; nil counts as zeros.
    /// - Throws: ``DistributedError``.
    func finish(_ gradients: [Tensor?]) throws -> [Tensor] {
        overlapped = next
        for index in parameters.indices where !filled[index] { put(index, gradient: gradients[index] ?? parameters[index].zerosLike()) }
        isCollecting = false
        if let failure { throw failure }
        for bucket in buckets {
            try bucket.work?.wait()
            noGrad { TensorList.multiply_([bucket.flat!], by: 1 / Double(group.worldSize)) }
        }
        return parameters.indices.map { index in
            let (number, offset): (Int, Int) = homes[index]
            let flat: Tensor = buckets[number].flat!
            return flat.narrowed(axis: 0, start: offset, length: parameters[index].count).reshaped(shapes[index]).to(
                device: parameters[index].device)
        }
    }

    /// Gives up a pass whose backward failed.
    func abandon() { isCollecting = false }
}
