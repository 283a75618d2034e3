import NN
import SequenceModels
import Torch
import Training

/// A series read as tokens: windows scaled by the mean of their look-back and cut into bins of [−1, 1], as forecasters do that are language
/// models (arXiv 2410.22269, section 6).
struct SeriesTokens: BatchSource {
    static let lookback: Int = 96
    /// The mean absolute value of a look-back lies at 1 over this, so that few values leave the interval.
    private static let margin: Float = 2

    let values: [Float]
    let bins: Int
    let rows: Int
    let seed: UInt64

    var itemsPerBatch: Int { rows * Self.lookback }
    var itemName: String { "tokens" }

    /// One window with what its tokens stand for.
    struct Window {
        let tokens: [Int32]
        let context: ArraySlice<Float>
        let future: ArraySlice<Float>
        /// Of the series for each unit of [−1, 1].
        let scale: Float
    }

    /// The look-back from `start` on, and the `horizon` values after it.
    func window(_ start: Int, horizon: Int) -> Window {
        let context: ArraySlice<Float> = values[start..<start + Self.lookback]
        let future: ArraySlice<Float> = values[start + Self.lookback..<start + Self.lookback + horizon]
        let mean: Float = context.reduce(0) { $0 + abs($1) } / Float(Self.lookback)
        let scale: Float = Self.margin * max(mean, 1e-3)
        let tokens: [Int32] = (context + future).map { value in
            let place: Float = (min(max(value / scale, -1), 1) + 1) / 2
            return min(Int32(place * Float(bins)), Int32(bins - 1))
        }
        return Window(tokens: tokens, context: context, future: future, scale: scale)
    }

    /// Windows that begin at the given places, with the next token as each token's target.
    func batch(at starts: [Int]) -> TokenBatch {
        let windows: [Window] = starts.map { window($0, horizon: 1) }
        return TokenBatch(
            tokens: windows.flatMap { $0.tokens.dropLast() }, targets: windows.flatMap { $0.tokens.dropFirst() }, rows: starts.count)
    }

    func batch(_ step: Int) -> TokenBatch {
        var generator: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(step))
        return batch(at: (0..<rows).map { _ in Int(generator.next(below: UInt64(values.count - Self.lookback))) })
    }
}

/// How well a trained model predicts the held-out part of a series.
struct SeriesScore {
    /// Mean cross-entropy of the next token, in nats.
    let loss: Double
    /// Mean ``smoothness(_:)`` of the next token's distributions.
    let smoothness: Double
    /// Error of the median of sampled continuations over that of repeating the day before.
    let scaledError: Double
    /// Quantile losses of the samples at 0.1, 0.2 … 0.9, over the series' mean size.
    let quantileLoss: Double

    static let horizon: Int = 24

    /// - Parameters:
    ///   - model: of the tokens.
    ///   - held: the part that was not trained on.
    ///   - windows: look-backs that are continued.
    ///   - paths: samples of each continuation.
    ///   - seed: of the samples.
    init(_ model: LanguageModel, on held: SeriesTokens, windows: Int, paths: Int, seed: UInt64) {
        model.train(false)
        let last: Int = held.values.count - SeriesTokens.lookback - Self.horizon
        let count: Int = min(windows, last + 1)
        let starts: [Int] = (0..<count).map { count == 1 ? 0 : $0 * last / (count - 1) }
        let batch: TokenBatch = held.batch(at: starts)
        let (tokens, targets): (Tensor, Tensor) = batch.tensors(device: model.device)
        let logits: Tensor = noGrad { model(tokens) }
        loss = crossEntropy(logits.flattened(from: 0, to: 1), targets.flattened()).item()
        smoothness = SequenceModels.smoothness(logits.softmax()).mean().item()
        let shown: [SeriesTokens.Window] = starts.map { held.window($0, horizon: Self.horizon) }
        let sampled: [[[Float]]] = Self.continuations(model, tokens, paths: paths, seed: seed, bins: held.bins)
        var (errors, sizes, quantiles): (Double, Double, Double) = (0, 0, 0)
        for (window, samples) in zip(shown, sampled) {
            let naive: Double = Self.naiveError(window.context)
            var medianError: Double = 0
            for (step, truth) in window.future.enumerated() {
                let sorted: [Double] = samples.map { Double($0[step] * window.scale) }.sorted()
                medianError += abs(Self.quantile(0.5, of: sorted) - Double(truth)) / Double(Self.horizon)
                quantiles += Self.pinball(sorted, Double(truth))
                sizes += abs(Double(truth))
            }
            errors += medianError / max(naive, 1e-6)
        }
        scaledError = errors / Double(count)
        quantileLoss = quantiles / sizes
    }

    /// Sampled continuations in units of [−1, 1], by window, path and step.
    private static func continuations(_ model: LanguageModel, _ tokens: Tensor, paths: Int, seed: UInt64, bins: Int) -> [[[Float]]] {
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: model.device)
        let rows: Int = tokens.dim(0)
        return noGrad {
            let repeated: Tensor = tokens.repeated(paths, axis: 0)
            var state: LanguageModelState? = model.initialState(batch: rows * paths)
            var logits: Tensor = model(repeated, state: &state).selected(axis: 1, index: tokens.dim(1) - 1)
            guard var state else { preconditionFailure("the model dropped its state") }
            var drawn: [Tensor] = []
            for step in 0..<horizon {
                let next: Tensor = logits.softmax().multinomial(1, generator: generator).squeezed(axis: -1)
                drawn.append(next)
                if step + 1 < horizon { logits = model.step(next, state: &state) }
            }
            let values: [Float] = ((stacked(drawn, axis: -1).asType(.float32) * 2 + 1) / Double(bins) - 1).array()
            return (0..<rows).map { row in
                (0..<paths).map { path in
                    let start: Int = (row * paths + path) * horizon
                    return Array(values[start..<start + horizon])
                }
            }
        }
    }

    /// Mean error of repeating the value of a day before, in the look-back.
    private static func naiveError(_ context: ArraySlice<Float>) -> Double {
        let values: [Float] = Array(context)
        let day: Int = 24
        return zip(values.dropFirst(day), values).reduce(0) { $0 + Double(abs($1.0 - $1.1)) } / Double(values.count - day)
    }

    private static func quantile(_ share: Double, of sorted: [Double]) -> Double {
        let place: Double = share * Double(sorted.count - 1)
        let low: Int = Int(place)
        let high: Int = min(low + 1, sorted.count - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (place - Double(low))
    }

    /// Twice the quantile loss, meaned over the nine tenths.
    private static func pinball(_ sorted: [Double], _ truth: Double) -> Double {
        let losses: [Double] = (1...9).map { tenth in
            let share: Double = Double(tenth) / 10
            let miss: Double = truth - quantile(share, of: sorted)
            return 2 * max(share * miss, (share - 1) * miss)
        }
        return losses.reduce(0, +) / 9
    }
}
