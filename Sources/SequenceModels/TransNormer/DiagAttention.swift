import NN
import Torch

/// Attention inside blocks of w steps, the early layers of ``TransNormer``; see ``diagonalAttention(q:k:v:block:activation:scale:)``.
///
/// With `relu` the output is normalised as ``NormAttention``'s is (T1), with `softmax` it is not (T2). The state holds keys and values of the block
/// that is being filled and is cleared where a block ends, so it has one size. Names in checkpoints are those of
/// ``ProjectedAttention``.
///
/// Source: Qin et al., 2022, *The Devil in Linear Transformer*, section 4.2; positions as in the authors' code.
public final class DiagAttention: ProjectedAttention, SequenceMixer, AttentionWeighting {
    /// Steps in a block, w.
    public let block: Int
    public let activation: BlockActivation

    public var isCausal: Bool { true }

    /// Projections start as N(0, 0.02²) with biases 0. Traps unless the channels divide into the heads.
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: H.
    ///   - block: steps in a block, w.
    ///   - activation: of the scores; the paper's T1 has `relu`, T2 `softmax`.
    ///   - position: turns q and k, with as many channels as a head has.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        dimensions: Int, heads: Int, block: Int = 64, activation: BlockActivation = .relu, position: LRPE? = nil,
        generator: RandomGenerator? = nil
    ) {
        precondition(block > 0, "DiagAttention: a block needs at least one step, not \(block)")
        self.block = block
        self.activation = activation
        super.init(dimensions: dimensions, heads: heads, position: position, generator: generator)
    }

    /// Keys and values of the open block, `[B, w, H, K]` each, and how many of them there are, `[B]`.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let empty: Tensor = .zeros([batch, block, heads, headDimensions], dtype: dtype, device: device)
        return MixerState(recurrent: ["k": empty, "v": empty, "filled": .zeros([batch], dtype: .int64, device: device)])
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let projected: QueryKeyValue = QueryKeyValue(
            query: placed(queryProjection(x).splitHeads(heads), from: offset),
            key: placed(keyProjection(x).splitHeads(heads), from: offset), value: valueProjection(x).splitHeads(heads))
        let recurrent: Bool = MixerMode.chunk(for: mode, length: x.dim(1)) == nil
        if state == nil, mask == nil, !recurrent { return finished(attended(projected)) }
        let before: OpenBlock = OpenBlock(state ?? initialState(batch: x.dim(0), dtype: x.dtype, device: x.device))
        let (output, after): (Tensor, OpenBlock) =
            recurrent ? stepped(projected, mask: mask, from: before) : continued(projected, mask: mask, from: before)
        if var next = state {
            next.recurrent = after.tensors
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        return finished(output)
    }

    private func finished(_ output: Tensor) -> Tensor {
        let joined: Tensor = output.joinedHeads()
        return outputProjection(activation == .relu ? joined.simpleRMSNormalized() : joined)
    }

    private func attended(_ tokens: QueryKeyValue) -> Tensor {
        diagonalAttention(q: tokens.query, k: tokens.key, v: tokens.value, block: block, activation: activation)
    }

    /// The tokens behind those of the open block, all blocks at once.
    private func continued(_ tokens: QueryKeyValue, mask: Tensor?, from open: OpenBlock) -> (output: Tensor, open: OpenBlock) {
        let placement: BlockPlacement = BlockPlacement(filled: open.filled, mask: mask, tokens: tokens.query.dim(1), block: block)
        let placed: QueryKeyValue = QueryKeyValue(
            query: placement.place(tokens.query, after: open.keys.zerosLike()), key: placement.place(tokens.key, after: open.keys),
            value: placement.place(tokens.value, after: open.values))
        let next: OpenBlock = OpenBlock(
            keys: placement.open(of: placed.key), values: placement.open(of: placed.value), filled: placement.filled)
        return (placement.tokens(of: attended(placed)), next)
    }

    /// One token after another.
    private func stepped(_ tokens: QueryKeyValue, mask: Tensor?, from open: OpenBlock) -> (output: Tensor, open: OpenBlock) {
        var open: OpenBlock = open
        var outputs: [Tensor] = []
        for t in 0..<tokens.query.dim(1) {
            let real: Tensor? = mask?.narrowed(axis: 1, start: t, length: 1)
            open.write(key: tokens.key.narrowed(axis: 1, start: t, length: 1), value: tokens.value.narrowed(axis: 1, start: t, length: 1))
            outputs.append(read(tokens.query.narrowed(axis: 1, start: t, length: 1), open))
            open.advance(real: real)
        }
        return (concatenated(outputs, axis: 1), open)
    }

    /// What a query `[B, 1, H, K]` reads from its block, its own token included.
    private func read(_ query: Tensor, _ open: OpenBlock) -> Tensor {
        let scores: Tensor = pairwiseScores(query / Double(headDimensions).squareRoot(), open.keys)
        let weights: Tensor = activation(scores, visible: open.visible.reshaped(query.dim(0), 1, 1, block))
        return weights.matmul(open.values.swappedAxes(1, 2)).swappedAxes(1, 2)
    }

    /// Zero outside the blocks.
    public func attentionWeights(_ x: Tensor) -> Tensor {
        let step: Tensor = .arange(x.dim(1), device: x.device)
        let (row, blocks): (Tensor, Tensor) = (step.expandedDimensions(axis: 1), step.floorDivided(by: block))
        let visible: Tensor = (row .>= step) .&& (blocks.expandedDimensions(axis: 1) .== blocks)
        let q: Tensor = placed(queryProjection(x).splitHeads(heads), from: 0) / Double(headDimensions).squareRoot()
        return activation(pairwiseScores(q, placed(keyProjection(x).splitHeads(heads), from: 0)), visible: visible)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        float32Bytes(batch * 2 * block * heads * headDimensions) + batch * DType.int64.byteCount
    }
}

/// The block that tokens are being added to; rows of a batch may have got differently far.
private struct OpenBlock {
    /// `[B, w, H, K]`, zeros behind the last token; values likewise.
    var keys: Tensor
    var values: Tensor
    /// Tokens held, `[B]` (int64), below w.
    var filled: Tensor

    init(keys: Tensor, values: Tensor, filled: Tensor) { (self.keys, self.values, self.filled) = (keys, values, filled) }

    init(_ state: MixerState) {
        guard let keys = state.recurrent["k"], let values = state.recurrent["v"], let filled = state.recurrent["filled"] else {
            preconditionFailure("DiagAttention: a state of another mixer, with \(state.recurrent.keys.sorted())")
        }
        self.init(keys: keys, values: values, filled: filled)
    }

    var tensors: [String: Tensor] { ["k": keys, "v": values, "filled": filled] }

    private var slots: Tensor { .arange(keys.dim(1), device: keys.device) }

    /// The tokens held and the one after them, `[B, w]`.
    var visible: Tensor { filled.expandedDimensions(axis: 1) .>= slots }

    /// Puts a token, `[B, 1, H, K]`, into the first free slot.
    mutating func write(key: Tensor, value: Tensor) {
        let chosen: Tensor = (filled.expandedDimensions(axis: 1) .== slots).reshaped(filled.dim(0), -1, 1, 1)
        keys = which(chosen, key.asType(keys.dtype), keys)
        values = which(chosen, value.asType(values.dtype), values)
    }

    /// Counts the token written last, or takes it out again where it is not real; a block that is full is cleared.
    mutating func advance(real: Tensor?) {
        let counted: Tensor = real.map { ($0.squeezed(axis: 1) .!= 0).asType(.int64) } ?? filled.onesLike()
        let count: Tensor = filled + counted
        let kept: Tensor = (count.expandedDimensions(axis: 1) .> slots) .&& (count .< keys.dim(1)).expandedDimensions(axis: 1)
        keys = keys * kept.asType(keys.dtype).reshaped(kept.shape + [1, 1])
        values = values * kept.asType(values.dtype).reshaped(kept.shape + [1, 1])
        filled = count % keys.dim(1)
    }
}
