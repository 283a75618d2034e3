/// The order in which a training run reads its examples: every epoch is a new shuffle, fixed by seed and epoch alone, so the same
/// `State` gives the same remaining order on any machine.
///
/// Over `world` processes, rank r reads the positions r, r + world, ... of each epoch's order. Every rank gets ⌊count / world⌋ examples
/// an epoch, so that all take the same number of steps; the few left over are others in each epoch.
public struct ShuffledIndices: Sendable {
    /// A position in the order, for a checkpoint.
    public struct State: Codable, Sendable, Equatable {
        public let seed: UInt64
        public var epoch: Int
        /// How many of this rank's examples of the epoch have been handed out.
        public var position: Int
        /// What the position refers to; a state is not valid for another number of examples or processes.
        public let count: Int
        public let world: Int
    }

    /// The position behind the last index handed out.
    public private(set) var state: State
    public let rank: Int
    /// Whether the order is shuffled; otherwise every epoch runs from 0 to count - 1.
    public let shuffles: Bool
    private var order: [Int]

    /// Starts at epoch 0.
    ///
    /// - Parameters:
    ///   - count: the number of examples, at least `world`.
    ///   - seed: of the order.
    ///   - rank: this process among `world`.
    ///   - world: number of processes that share the examples.
    ///   - shuffles: off, the examples come in their own order.
    public init(count: Int, seed: UInt64, rank: Int = 0, world: Int = 1, shuffles: Bool = true) {
        precondition(world > 0 && (0..<world).contains(rank), "ShuffledIndices: rank \(rank) of \(world)")
        precondition(count >= world, "ShuffledIndices: \(count) examples for \(world) processes")
        state = State(seed: seed, epoch: 0, position: 0, count: count, world: world)
        self.rank = rank
        self.shuffles = shuffles
        order = ShuffledIndices.order(state, rank: rank, shuffles: shuffles)
    }

    /// How many examples this rank reads in an epoch.
    public var epochLength: Int { state.count / state.world }

    /// How many of them are left in the current epoch.
    public var remainingInEpoch: Int { epochLength - state.position }

    /// Continues from a checkpoint's position; one taken over another number of examples or processes throws.
    public mutating func restore(_ saved: State) throws(DataPositionError) {
        guard saved.count == state.count && saved.world == state.world else {
            throw DataPositionError(saved: "\(saved.count) examples over \(saved.world)", now: "\(state.count) over \(state.world)")
        }
        guard saved.epoch >= 0 && (0...epochLength).contains(saved.position) else {
            throw DataPositionError(saved: "position \(saved.position) of epoch \(saved.epoch)", now: "at most \(epochLength)")
        }
        state = saved
        order = ShuffledIndices.order(saved, rank: rank, shuffles: shuffles)
    }

    /// The next example; after an epoch's last one the next epoch begins.
    public mutating func next() -> Int {
        if state.position == epochLength { startNextEpoch() }
        defer { state.position += 1 }
        return order[state.position]
    }

    /// The next `size` examples, or fewer at an epoch's end: a batch never spans two epochs.
    ///
    /// - Parameters:
    ///   - size: examples in a batch.
    ///   - dropsLast: leaves out a batch that would be smaller than `size`; an epoch must then hold at least one whole batch.
    public mutating func nextBatch(_ size: Int, dropsLast: Bool = false) -> ArraySlice<Int> {
        precondition(size > 0 && (!dropsLast || size <= epochLength), "ShuffledIndices: batches of \(size) from \(epochLength) examples")
        if remainingInEpoch == 0 || (dropsLast && remainingInEpoch < size) { startNextEpoch() }
        let start = state.position
        state.position += min(size, remainingInEpoch)
        return order[start..<state.position]
    }

    /// The examples of a step, counted from 0, where every step takes `size` and what is left at an epoch's end is passed over.
    public func batch(_ step: Int, of size: Int) throws(DataPositionError) -> ArraySlice<Int> {
        let perEpoch: Int = epochLength / size
        precondition(step >= 0 && perEpoch > 0, "ShuffledIndices: step \(step) of batches of \(size) from \(epochLength) examples")
        var position: State = state
        (position.epoch, position.position) = (step / perEpoch, step % perEpoch * size)
        var indices: ShuffledIndices = self
        try indices.restore(position)
        return indices.nextBatch(size)
    }

    private mutating func startNextEpoch() {
        state.epoch += 1
        state.position = 0
        order = ShuffledIndices.order(state, rank: rank, shuffles: shuffles)
    }

    /// This rank's part of an epoch's order: Fisher and Yates's shuffle of all examples, then every `world`-th.
    private static func order(_ state: State, rank: Int, shuffles: Bool) -> [Int] {
        var order = Array(0..<state.count)
        if shuffles {
            var generator = SplitMix64(seed: SplitMix64.mix(state.seed) ^ SplitMix64.mix(UInt64(state.epoch) &+ 0x9E37_79B9_7F4A_7C15))
            for last in stride(from: order.count - 1, to: 0, by: -1) {
                order.swapAt(last, Int(generator.next(below: UInt64(last) + 1)))
            }
        }
        guard state.world > 1 else { return order }
        return (0..<state.count / state.world).map { order[$0 * state.world + rank] }
    }
}

/// A checkpoint's data position that does not fit the data at hand.
public struct DataPositionError: Error, Equatable, Sendable, CustomStringConvertible {
    public let saved: String
    public let now: String

    public var description: String { "the checkpoint's data position is for \(saved), but the data here has \(now)" }
}
