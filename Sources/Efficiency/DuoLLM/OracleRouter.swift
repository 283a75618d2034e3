import NN
import SequenceModels
import Torch
import Training

/// The paths that an oracle found, and what they lead to.
public struct OracleRoutes {
    /// Cross-entropy of each token on its path, `[B, T]`, in nats.
    public let losses: Tensor
    /// `[B, T, L]`, raw values of ``DuoModule`` (int64).
    public let paths: Tensor

    public var loss: Double { losses.mean().item(Double.self) }

    /// Share of the tokens that take the big module, for each layer.
    public var bigUse: [Double] { (paths .== DuoModule.big.rawValue).asType(.float64).mean(axes: [0, 1]).array() }

    /// Share of the tokens whose path is this one.
    public func agreement(with path: RoutingPath) -> Double {
        (paths .== Tensor([path], device: paths.device)).all(axis: 2).asType(.float64).mean().item(Double.self)
    }
}

/// Finds for each token the path through the modules with the lowest loss of the token that follows.
///
/// It looks at the label: this measures what routing could gain, and is no model that could be used.
public struct OracleRouter: Sendable {
    /// What the earlier tokens went through, whose keys and values a token sees.
    public enum Mode: String, Codable, Sendable, CaseIterable {
        /// Their own best paths, from left to right.
        case causalGreedy
        /// The big modules.
        case independent
    }

    /// The paths that a token may take.
    public enum Candidates: Sendable {
        /// Those with so many big modules; a sample of `most` where there are more.
        case budget(Int, most: Int = 256)
        case paths([RoutingPath])
        /// So many of any cost, drawn anew at every position.
        case drawn(Int, seed: UInt64)
    }

    public let mode: Mode
    public let candidates: Candidates

    public init(mode: Mode, candidates: Candidates) {
        self.mode = mode
        self.candidates = candidates
    }

    /// - Parameters:
    ///   - mode: what the earlier tokens went through.
    ///   - budget: big modules of a path.
    public init(mode: Mode, budget: Int) { self.init(mode: mode, candidates: .budget(budget)) }

    /// The best paths of tokens `[B, T]` whose followers are `targets` `[B, T]` (int64).
    public func callAsFunction(_ model: DuoTransformer, tokens: Tensor, targets: Tensor) -> OracleRoutes {
        noGrad { mode == .causalGreedy ? greedy(model, tokens, targets) : independentByRows(model, tokens, targets) }
    }

    /// All positions of a row at once need much memory, so a few rows at a time.
    private func independentByRows(_ model: DuoTransformer, _ tokens: Tensor, _ targets: Tensor) -> OracleRoutes {
        let parts: [OracleRoutes] = zip(tokens.split(size: 2), targets.split(size: 2)).map { independent(model, $0, $1) }
        return OracleRoutes(losses: concatenated(parts.map(\.losses)), paths: concatenated(parts.map(\.paths)))
    }

    private func greedy(_ model: DuoTransformer, _ tokens: Tensor, _ targets: Tensor) -> OracleRoutes {
        var seen: [KeysAndValues?] = Array(repeating: nil, count: model.layers)
        var (losses, paths): ([Tensor], [Tensor]) = ([], [])
        for t in 0..<tokens.dim(1) {
            let choices: Tensor = choices(model, position: t)
            let pass: CandidatePass = CandidatePass(
                model, tokens.narrowed(axis: 1, start: t, length: 1), from: t, choices: choices, seen: seen, visible: nil)
            let (best, places): (Tensor, Tensor) = pass.best(targets.narrowed(axis: 1, start: t, length: 1))
            seen = zip(seen, pass.own).map { before, own in own.chosen(places).appended(to: before) }
            losses.append(best)
            paths.append(choices.indexSelect(axis: 0, indices: places.flattened()).expandedDimensions(axis: 1))
        }
        return OracleRoutes(losses: concatenated(losses, axis: 1), paths: concatenated(paths, axis: 1))
    }

    private func independent(_ model: DuoTransformer, _ tokens: Tensor, _ targets: Tensor) -> OracleRoutes {
        let context: [KeysAndValues?] = bigContext(model, tokens)
        let length: Int = tokens.dim(1)
        let positions: Tensor = .arange(length, device: tokens.device)
        let earlier: Tensor = positions.expandedDimensions(axis: 0) .< positions.expandedDimensions(axis: 1)
        let choices: Tensor = choices(model, position: 0)
        let pass: CandidatePass = CandidatePass(model, tokens, from: 0, choices: choices, seen: context, visible: earlier)
        let (losses, places): (Tensor, Tensor) = pass.best(targets)
        let paths: Tensor = choices.indexSelect(axis: 0, indices: places.flattened()).reshaped(tokens.dim(0), length, -1)
        return OracleRoutes(losses: losses, paths: paths)
    }

    /// Keys and values of every layer where all tokens take the big modules.
    private func bigContext(_ model: DuoTransformer, _ tokens: Tensor) -> [KeysAndValues?] {
        let stream: [Tensor] = model.base.residualStream(tokens)
        return zip(model.base.blocks, stream).map { block, x in
            let (attention, normed): (MultiHeadAttention, Tensor) = (block.softmaxAttention, block.attentionNorm(x))
            return KeysAndValues(keys: attention.keys(normed), values: attention.values(normed))
        }
    }

    private func choices(_ model: DuoTransformer, position: Int) -> Tensor {
        let paths: [RoutingPath]
        switch candidates {
        case .budget(let big, let most):
            paths = RoutingPath.all(layers: model.layers, big: big, allowSkip: model.allowSkip, most: most)
        case .paths(let given):
            paths = given
        case .drawn(let count, let seed):
            var random: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(position))
            paths = (0..<count).map { _ in RoutingPath.drawn(layers: model.layers, allowSkip: model.allowSkip, &random) }
        }
        precondition(
            !paths.isEmpty && paths.allSatisfy { $0.modules.count == model.layers }, "paths for another number of layers, or none")
        return Tensor(paths, device: model.device)
    }
}

extension PlainTransformerBlock {
    /// Traps for a block with another mixer.
    var softmaxAttention: MultiHeadAttention {
        guard let softmax = mixer as? SoftmaxAttention, softmax.attention.configuration.window == nil else {
            preconditionFailure("the block's mixer is no softmax attention to all earlier tokens")
        }
        return softmax.attention
    }
}

/// Keys and values `[B, S, H, K]`, or of candidates `[B, T, C, H, K]`.
private struct KeysAndValues {
    let keys: Tensor
    let values: Tensor

    /// Those of one candidate for each token, `places` `[B, T]`: `[B, T, H, K]`.
    func chosen(_ places: Tensor) -> KeysAndValues {
        let index: Tensor = places.reshaped(places.dim(0), places.dim(1), 1, 1, 1)
        return KeysAndValues(
            keys: keys.takeAlong(index, axis: 2).squeezed(axis: 2), values: values.takeAlong(index, axis: 2).squeezed(axis: 2))
    }

    func appended(to before: KeysAndValues?) -> KeysAndValues {
        guard let before else { return self }
        return KeysAndValues(
            keys: concatenated([before.keys, keys], axis: 1), values: concatenated([before.values, values], axis: 1))
    }
}

/// Tokens on several paths at once, each of which sees the same earlier tokens and, on its own path, itself.
private struct CandidatePass {
    /// `[B, T, C, V]`
    private(set) var logits: Tensor
    /// Of the tokens themselves, for each layer.
    private(set) var own: [KeysAndValues] = []

    /// - Parameters:
    ///   - model: whose blocks are passed through.
    ///   - tokens: `[B, T]`.
    ///   - offset: position of the first.
    ///   - choices: `[C, L]`.
    ///   - seen: of the S earlier tokens, for each layer; nil where there are none.
    ///   - visible: `[T, S]`, which of those a token sees; nil for all.
    init(_ model: DuoTransformer, _ tokens: Tensor, from offset: Int, choices: Tensor, seen: [KeysAndValues?], visible: Tensor?) {
        let (rows, length, count): (Int, Int, Int) = (tokens.dim(0), tokens.dim(1), choices.dim(0))
        let embedded: Tensor = model.base.embedded(tokens, from: offset).expandedDimensions(axis: 2)
        var x: Tensor = embedded.expanded(to: [rows, length, count, embedded.dim(3)])
        let positions: Tensor = Tensor.arange(offset, offset + length, step: 1, dtype: .int64, device: tokens.device).repeated(
            count, axis: 0)
        for (layer, (block, feedForward)) in zip(model.base.blocks, model.feedForwards).enumerated() {
            let attention: MultiHeadAttention = block.softmaxAttention
            let flat: Tensor = block.attentionNorm(x).reshaped(rows, length * count, -1)
            func split(_ heads: Tensor) -> Tensor { heads.reshaped(rows, length, count, heads.dim(2), heads.dim(3)) }
            let queries: Tensor = split(attention.queries(flat, positions: positions))
            let own: KeysAndValues = KeysAndValues(
                keys: split(attention.keys(flat, positions: positions)), values: split(attention.values(flat)))
            let heads: Tensor = Self.attend(queries, own, seen[layer], visible, group: attention.queriesPerHead)
            let mixed: Tensor = x + attention.outputProjection(heads.flattened(from: 3))
            let chosen: Tensor = choices.selected(axis: 1, index: layer).expanded(to: [rows, length, count])
            x = mixed + feedForward(block.feedForwardNorm(mixed), choices: chosen)
            self.own.append(own)
        }
        logits = model.base.logits(x)
    }

    /// `[B, T, C, HQ, K]` of queries of that shape.
    private static func attend(
        _ queries: Tensor, _ own: KeysAndValues, _ seen: KeysAndValues?, _ visible: Tensor?, group: Int
    ) -> Tensor {
        let values: Tensor = own.values.repeated(group, axis: 3)
        guard let seen else { return values }
        let scale: Double = 1 / Double(queries.dim(4)).squareRoot()
        let itself: Tensor = (queries * own.keys.repeated(group, axis: 3)).sum(axis: 4).transposed(0, 3, 1, 2)
        var scores: Tensor = einsum("btchk,bshk->bhtcs", queries, seen.keys.repeated(group, axis: 2))
        if let visible { scores = which(visible.expandedDimensions(axis: 1), scores, -Double.infinity) }
        let weights: Tensor = (concatenated([scores, itself.expandedDimensions(axis: 4)], axis: 4) * scale).softmax()
        let count: Int = seen.keys.dim(1)
        let earlier: Tensor = einsum(
            "bhtcs,bshk->btchk", weights.narrowed(axis: 4, start: 0, length: count), seen.values.repeated(group, axis: 2))
        return earlier + weights.narrowed(axis: 4, start: count, length: 1).transposed(0, 2, 3, 1, 4) * values
    }

    /// The lowest loss of each token `[B, T]`, and the candidate that has it.
    func best(_ targets: Tensor) -> (losses: Tensor, places: Tensor) {
        let index: Tensor = targets.reshaped(targets.dim(0), targets.dim(1), 1, 1)
        let losses: Tensor = -logits.logSoftmax().takeAlong(index, axis: 3).squeezed(axis: 3)
        let places: Tensor = losses.argMin(axis: 2, keepDims: true)
        return (losses.takeAlong(places, axis: 2).squeezed(axis: 2), places.squeezed(axis: 2))
    }
}

/// How much each token could gain from more computation: its loss on the best path without a big module minus the least over all budgets.
public struct TokenDifficulty {
    /// `[B, T]`, in nats.
    public let values: Tensor

    /// - Parameter routes: an oracle's, from no big module upwards.
    public init(_ routes: [OracleRoutes]) {
        precondition(!routes.isEmpty, "the difficulty of tokens needs an oracle's routes")
        values = routes[0].losses - stacked(routes.map(\.losses)).min(axis: 0)
    }
}
