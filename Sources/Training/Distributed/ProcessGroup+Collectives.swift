import Torch

extension ProcessGroup {
    /// Replaces the tensor by its sum (or maximum, minimum) over the ranks. Sums come out bit for bit alike on all ranks.
    /// - Throws: ``DistributedError``, as all operations do.
    public func allReduce(_ tensor: Tensor, _ operation: ReduceOperation = .sum) throws {
        try startAllReduce(tensor, operation).wait()
    }

    /// As ``allReduce(_:_:)``, without waiting.
    public func startAllReduce(_ tensor: Tensor, _ operation: ReduceOperation = .sum) throws -> CollectiveWork {
        try start(.allReduce(tensor, operation), bytes: 2 * Double(tensor.byteCount) * othersShare)
    }

    /// Replaces the tensor by that of rank `root`.
    public func broadcast(_ tensor: Tensor, from root: Int) throws { try startBroadcast(tensor, from: root).wait() }

    /// As ``broadcast(_:from:)``, without waiting.
    public func startBroadcast(_ tensor: Tensor, from root: Int) throws -> CollectiveWork {
        check(peer: root)
        return try start(.broadcast(tensor, root: root), bytes: Double(tensor.byteCount) * othersShare)
    }

    /// The tensors of all ranks, in their order; all have one shape and dtype.
    public func allGather(_ tensor: Tensor) throws -> [Tensor] {
        let (outputs, work): ([Tensor], CollectiveWork) = try startAllGather(tensor)
        try work.wait()
        return outputs
    }

    /// As ``allGather(_:)``, without waiting: the outputs hold the tensors when the work has ended.
    public func startAllGather(_ tensor: Tensor) throws -> (outputs: [Tensor], work: CollectiveWork) {
        if worldSize == 1 { return ([tensor.detached().cloned()], try start(.barrier, bytes: 0)) }
        let outputs: [Tensor] = noGrad { (0..<worldSize).map { _ in tensor.detached().zerosLike() } }
        return (outputs, try start(.allGather(tensor, outputs: outputs), bytes: Double(tensor.byteCount * (worldSize - 1))))
    }

    /// Reduces the tensors that the ranks have for this rank. Traps unless there is one tensor a rank, all of one shape and dtype.
    /// - Parameters:
    ///   - tensors: one for each rank.
    ///   - operation: how they become one.
    public func reduceScatter(_ tensors: [Tensor], _ operation: ReduceOperation = .sum) throws -> Tensor {
        let (output, work): (Tensor, CollectiveWork) = try startReduceScatter(tensors, operation)
        try work.wait()
        return output
    }

    /// As ``reduceScatter(_:_:)``, without waiting.
    public func startReduceScatter(_ tensors: [Tensor], _ operation: ReduceOperation = .sum) throws -> (
        output: Tensor, work: CollectiveWork
    ) {
        check(onePerRank: tensors)
        precondition(
            tensors.allSatisfy { $0.shape == tensors[0].shape && $0.dtype == tensors[0].dtype },
            "reduceScatter takes tensors of one shape, not \(tensors.map(\.shape))")
        if worldSize == 1 { return (tensors[0].detached().cloned(), try start(.barrier, bytes: 0)) }
        let output: Tensor = noGrad { tensors[0].detached().zerosLike() }
        let bytes: Double = Double(tensors[0].byteCount * (worldSize - 1))
        return (output, try start(.reduceScatter(tensors, output: output, operation), bytes: bytes))
    }

    /// Sends the i-th tensor to rank i, and gives what the ranks have sent here, in their order. Traps unless all have one shape and dtype.
    public func allToAll(_ tensors: [Tensor]) throws -> [Tensor] {
        let (outputs, work): ([Tensor], CollectiveWork) = try startAllToAll(tensors)
        try work.wait()
        return outputs
    }

    /// As ``allToAll(_:)``, without waiting.
    public func startAllToAll(_ tensors: [Tensor]) throws -> (outputs: [Tensor], work: CollectiveWork) {
        check(onePerRank: tensors)
        precondition(
            tensors.allSatisfy { $0.shape == tensors[0].shape && $0.dtype == tensors[0].dtype },
            "allToAll takes tensors of one shape, not \(tensors.map(\.shape))")
        if worldSize == 1 { return ([tensors[0].detached().cloned()], try start(.barrier, bytes: 0)) }
        let outputs: [Tensor] = noGrad { tensors.map { $0.detached().zerosLike() } }
        return (outputs, try start(.allToAll(tensors, outputs: outputs), bytes: Double(tensors[0].byteCount * (worldSize - 1))))
    }

    /// Sends a tensor to another rank, which has to receive it.
    /// - Parameters:
    ///   - tensor: what is sent.
    ///   - peer: another rank.
    ///   - tag: tells messages between the same two ranks apart.
    public func send(_ tensor: Tensor, to peer: Int, tag: Int = 0) throws { try startSend(tensor, to: peer, tag: tag).wait() }

    /// As ``send(_:to:tag:)``, without waiting.
    public func startSend(_ tensor: Tensor, to peer: Int, tag: Int = 0) throws -> CollectiveWork {
        check(other: peer)
        return try start(.send(tensor, to: peer, tag: tag), bytes: Double(tensor.byteCount))
    }

    /// Overwrites the tensor by the one that another rank sends, of the same shape and dtype.
    /// - Parameters:
    ///   - tensor: what is overwritten.
    ///   - peer: another rank.
    ///   - tag: as the sender's.
    public func receive(into tensor: Tensor, from peer: Int, tag: Int = 0) throws {
        try startReceive(into: tensor, from: peer, tag: tag).wait()
    }

    /// As ``receive(into:from:tag:)``, without waiting.
    public func startReceive(into tensor: Tensor, from peer: Int, tag: Int = 0) throws -> CollectiveWork {
        check(other: peer)
        return try start(.receive(tensor, from: peer, tag: tag), bytes: 0)
    }

    /// Waits until all ranks have come here.
    public func barrier() throws { try start(.barrier, bytes: 0).wait() }

    private func check(peer: Int) { precondition((0..<worldSize).contains(peer), "rank \(peer) of \(worldSize)") }

    private func check(other peer: Int) {
        check(peer: peer)
        precondition(peer != rank, "rank \(rank) exchanging a tensor with itself")
    }

    private func check(onePerRank tensors: [Tensor]) {
        precondition(tensors.count == worldSize, "\(tensors.count) tensors for \(worldSize) ranks; one for each is needed")
    }
}
