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
    public func trimmed() -> KVRing {
        guard let capacity, count > capacity else { return self }
        var result: KVRing = self
        result.keys = Self.last(capacity, of: keys)
        result.values = Self.last(capacity, of: values)
        result.mask = Self.last(capacity, of: mask)
        return result
    }

    private static func last(_ count: Int, of tensor: Tensor?) -> Tensor? {
        tensor.map { $0.narrowed(axis: 1, start: $0.dim(1) - count, length: count).cloned() }
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
    public func detached() -> KVRing {
        var result: KVRing = self
        result.keys = keys?.detached()
        result.values = values?.detached()
        result.mask = mask?.detached()
        return result
    }
}
