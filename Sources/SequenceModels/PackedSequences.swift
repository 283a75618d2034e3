import NN
import Torch

extension SequenceMixer {
    /// Sequences of different lengths laid end to end, each from its own beginning: exactly what each gives alone.
    ///
    /// They run side by side as one batch, padded on the right to the longest, so that work grows with the number of sequences times the
    /// longest length. Traps for a mixer that is not causal, and for lengths that do not fit `x`.
    /// - Parameters:
    ///   - x: `[total, D]` or `[1, total, D]`.
    ///   - cumulativeLengths: where each sequence begins, and at last `total`: `[0, 3, 10]` for three steps and then seven.
    ///   - mode: which of the equivalent forms computes it; without one, by the length of the longest.
    /// - Returns: outputs in the shape of `x`.
    public func callAsFunction(packed x: Tensor, cumulativeLengths: [Int], mode: MixerMode? = nil) -> Tensor {
        let sequences: PackedSequences = PackedSequences(x, cumulativeLengths, mixer: self)
        let all: [Int] = sequences.nonempty
        if all.isEmpty { return x }
        let batch: PaddedBatch = sequences.batch(of: all)
        return sequences.assembled([(all, batch.unpadded(self(batch.x, mask: batch.mask, mode: mode)))])
    }

    /// Pieces of sequences laid end to end, each continuing from its own state and replacing it. Sequences that stand at the same position
    /// run as one batch.
    /// - Parameters:
    ///   - x: `[total, D]` or `[1, total, D]`.
    ///   - cumulativeLengths: where each piece begins, and at last `total`; a piece may be empty.
    ///   - states: one for each piece, of one sequence (batch 1) each.
    ///   - mode: which of the equivalent forms computes it; without one, by the length of the longest.
    /// - Returns: outputs in the shape of `x`.
    public func callAsFunction(
        packed x: Tensor, cumulativeLengths: [Int], continuing states: inout [MixerState], mode: MixerMode? = nil
    ) -> Tensor {
        let sequences: PackedSequences = PackedSequences(x, cumulativeLengths, mixer: self)
        precondition(states.count == sequences.lengths.count, "\(states.count) states for \(sequences.lengths.count) sequences")
        if sequences.nonempty.isEmpty { return x }
        let before: [MixerState] = states
        let groups: [[Int]] = Dictionary(grouping: sequences.nonempty) { before[$0].place }.values.sorted { $0[0] < $1[0] }
        var outputs: [(members: [Int], output: Tensor)] = []
        for members in groups {
            let batch: PaddedBatch = sequences.batch(of: members)
            var state: MixerState = .joined(members.map { before[$0] })
            outputs.append((members, batch.unpadded(self(batch.x, mask: batch.mask, continuing: &state, mode: mode))))
            for (row, member) in members.enumerated() {
                states[member] = state.row(row)
                states[member].offset = before[member].offset + sequences.lengths[member]
            }
        }
        return sequences.assembled(outputs)
    }
}

/// Sequences laid end to end.
private struct PackedSequences {
    /// `[total, D]`.
    private let x: Tensor
    private let shape: [Int]
    private let starts: [Int]
    let lengths: [Int]

    init(_ x: Tensor, _ cumulativeLengths: [Int], mixer: any SequenceMixer) {
        precondition(mixer.isCausal, "packed sequences need a causal mixer, not \(type(of: mixer))")
        precondition(
            x.ndim == 2 || x.ndim == 3 && x.dim(0) == 1, "packed sequences are [total, D] or [1, total, D], not \(x.shape)")
        shape = x.shape
        self.x = x.reshaped(-1, x.dim(-1))
        starts = cumulativeLengths.dropLast()
        lengths = zip(cumulativeLengths.dropFirst(), cumulativeLengths).map { $0 - $1 }
        precondition(
            cumulativeLengths.first == 0 && cumulativeLengths.last == shape[shape.count - 2] && lengths.allSatisfy { $0 >= 0 },
            "cumulative lengths \(cumulativeLengths) of \(shape[shape.count - 2]) steps; they rise from 0 to that number")
    }

    /// The sequences that have a step, by number.
    var nonempty: [Int] { lengths.indices.filter { lengths[$0] > 0 } }

    func batch(of members: [Int]) -> PaddedBatch {
        let counts: [Int] = members.map { lengths[$0] }
        let longest: Int = counts.max() ?? 0
        // Padding repeats a sequence's first step, so that it is finite wherever the sequence is; the mask hides it.
        let places: [Int] = zip(members, counts).flatMap { member, count in
            (0..<longest).map { starts[member] + ($0 < count ? $0 : 0) }
        }
        let padded: Tensor = x.indexSelect(axis: 0, indices: Tensor(places, device: x.device)).reshaped(members.count, longest, x.dim(1))
        return PaddedBatch(x: padded, lengths: counts)
    }

    /// The outputs of all sequences, given group by group, in the order and shape of the input.
    func assembled(_ groups: [(members: [Int], output: Tensor)]) -> Tensor {
        let joined: Tensor = concatenated(groups.map(\.output))
        let order: [Int] = groups.flatMap { $0.members.flatMap { starts[$0]..<starts[$0] + lengths[$0] } }
        if order == Array(order.indices) { return joined.reshaped(shape) }
        return joined.indexSelect(axis: 0, indices: Tensor(order, device: x.device).argSort(axis: 0)).reshaped(shape)
    }
}

/// Sequences side by side, padded on the right.
private struct PaddedBatch {
    /// `[R, L, D]`.
    let x: Tensor
    let lengths: [Int]

    private var longest: Int { x.dim(1) }

    /// `[R, L]`, or nil when all are equally long.
    var mask: Tensor? {
        if lengths.allSatisfy({ $0 == longest }) { return nil }
        let values: [Float] = lengths.flatMap { length in (0..<longest).map { $0 < length ? 1 : 0 } }
        return Tensor(values, [lengths.count, longest], device: x.device)
    }

    /// The real steps of `[R, L, D]`, one sequence after another: `[total, D]`.
    func unpadded(_ output: Tensor) -> Tensor {
        let places: [Int] = lengths.enumerated().flatMap { row, length in (0..<length).map { row * longest + $0 } }
        return output.flattened(from: 0, to: 1).indexSelect(axis: 0, indices: Tensor(places, device: x.device))
    }
}

extension MixerState {
    /// What states have to agree in to be rows of one batch.
    fileprivate struct Place: Hashable {
        let offset: Int
        let tokens: Int?
        let carriesGradient: Bool
    }

    fileprivate var place: Place { Place(offset: offset, tokens: kv?.count, carriesGradient: carriesGradient) }

    /// One row alone.
    fileprivate func row(_ index: Int) -> MixerState {
        var result: MixerState = self
        result.recurrent = recurrent.mapValues { $0.narrowed(axis: 0, start: index, length: 1) }
        result.conv = conv.map { $0.narrowed(axis: 0, start: index, length: 1) }
        result.kv = kv?.row(index)
        return result
    }
}
