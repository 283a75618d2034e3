import Torch

/// Keys and values of the tokens that attention can still see: the last `capacity`, or all of them.
///
/// A value: appending replaces the tensors and leaves copies as they were.
public struct KVRing {
    /// Most tokens that are kept; nil keeps all.
    public let capacity: Int?
    /// `[B, S, H, K]` with S tokens, oldest first; nil while empty. Position-dependent rotations are applied already.
    public private(set) var keys: Tensor?
    /// `[B, S, H, V]`.
    public private(set) var values: Tensor?
    /// `[B, S]`, 1 for real tokens; nil when all are.
    public private(set) var mask: Tensor?

    /// Traps for a capacity below 1.
    public init(capacity: Int?) {
        precondition(capacity ?? 1 > 0, "a key-value ring keeps at least one token, not \(capacity ?? 0)")
        self.capacity = capacity
    }

    /// Tokens held.
    public var count: Int { keys?.dim(1) ?? 0 }

    /// What was held and the new tokens, before the oldest are dropped: what the new tokens attend to.
    /// - Parameters:
    ///   - newKeys: `[B, T, H, K]`.
    ///   - newValues: `[B, T, H, V]`.
    ///   - newMask: `[B, T]`, or nil when all are real.
    public func extended(keys newKeys: Tensor, values newValues: Tensor, mask newMask: Tensor?) -> KVRing {
        var result: KVRing = self
        result.mask = joinedMask(with: newMask, batch: newKeys.dim(0), length: newKeys.dim(1))
        result.keys = keys.map { concatenated([$0, newKeys], axis: 1) } ?? newKeys
        result.values = values.map { concatenated([$0, newValues], axis: 1) } ?? newValues
        return result
    }

    private func joinedMask(with newMask: Tensor?, batch: Int, length: Int) -> Tensor? {
        guard let sample: Tensor = newMask ?? mask else { return nil }
        let old: Tensor = mask ?? Tensor.ones([batch, count], dtype: sample.dtype, device: sample.device)
        let new: Tensor = newMask ?? Tensor.ones([batch, length], dtype: sample.dtype, device: sample.device)
        return concatenated([old, new.asType(sample.dtype)], axis: 1)
    }

    /// Without the tokens beyond the capacity, with memory of its own.
    /// - Parameter compacting: moves the real tokens of each row behind the masked ones, in their order, so that tokens that follow are
    ///   their neighbours and masked ones are dropped first.
    public func trimmed(compacting: Bool = false) -> KVRing {
        if compacting, mask != nil { return compacted().trimmed() }
        guard let capacity, count > capacity else { return self }
        return last(capacity)
    }

    private func compacted() -> KVRing {
        guard let mask else { return self }
        let order: Tensor = (mask .!= 0).asType(.int64).argSort(axis: 1)
        let places: Tensor = order.reshaped(mask.dim(0), mask.dim(1), 1, 1)
        var result: KVRing = self
        result.keys = keys?.takeAlong(places, axis: 1)
        result.values = values?.takeAlong(places, axis: 1)
        result.mask = mask.takeAlong(order, axis: 1)
        return result
    }

    private func last(_ count: Int) -> KVRing {
        mapped { $0.narrowed(axis: 1, start: $0.dim(1) - count, length: count).cloned() }
    }

    private func mapped(_ transform: (Tensor) -> Tensor) -> KVRing {
        var result: KVRing = self
        result.keys = keys.map(transform)
        result.values = values.map(transform)
        result.mask = mask.map(transform)
        return result
    }

    /// The real tokens of one row alone, without a mask. Needs what ``trimmed(compacting:)`` gave with `compacting`, or a ring without a mask.
    public func row(_ index: Int) -> KVRing {
        var result: KVRing = mapped { $0.narrowed(axis: 0, start: index, length: 1) }
        guard let rowMask = result.mask else { return result }
        let real: Int = rowMask.countNonzero().item(Int.self)
        result = real == 0 ? KVRing(capacity: capacity) : result.last(real)
        result.mask = nil
        return result
    }

    /// The rows of several rings as one ring. Traps unless all hold the same number of tokens.
    public static func joined(_ rings: [KVRing]) -> KVRing {
        guard var result = rings.first else { preconditionFailure("no rings to join") }
        precondition(
            rings.allSatisfy { $0.count == result.count && $0.capacity == result.capacity },
            "rings of \(rings.map(\.count)) tokens cannot be joined")
        guard let sample = result.keys else { return result }
        let masks: [Tensor]? = rings.contains { $0.mask != nil } ? rings.compactMap { $0.mask ?? $0.allSeen(like: sample) } : nil
        result.mask = masks.map { masks in concatenated(masks.map { $0.asType(masks[0].dtype) }) }
        result.keys = concatenated(rings.compactMap(\.keys))
        result.values = concatenated(rings.compactMap(\.values))
        return result
    }

    private func allSeen(like sample: Tensor) -> Tensor? {
        keys.map { Tensor.ones([$0.dim(0), count], dtype: sample.dtype, device: sample.device) }
    }

    /// Some rows in the order of their indices (int64), as a copy.
    public func taking(rows: Tensor) -> KVRing {
        var result: KVRing = self
        result.keys = keys?.indexSelect(axis: 0, indices: rows)
        result.values = values?.indexSelect(axis: 0, indices: rows)
        result.mask = mask?.indexSelect(axis: 0, indices: rows)
        return result
    }

    /// The same values, through which no gradient flows.
    public func detached() -> KVRing { mapped { $0.detached() } }
}
