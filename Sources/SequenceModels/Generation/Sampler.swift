import Torch

/// How the next token is drawn from the model's distribution.
public struct SamplingConfiguration: Codable, Sendable, Equatable {
    /// Divides the logits; 0 takes the likeliest token.
    public var temperature: Double
    /// Only the `topK` likeliest tokens are drawn from; nil keeps all.
    public var topK: Int?
    /// Only the likeliest tokens that together reach this probability are drawn from; 1 keeps all.
    public var topP: Double
    /// Divides positive logits of tokens seen before, and multiplies negative ones (CTRL, section 4.1); 1 does nothing.
    public var repetitionPenalty: Double
    public var seed: UInt64

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(temperature: Double = 1, topK: Int? = nil, topP: Double = 1, repetitionPenalty: Double = 1, seed: UInt64 = 0) throws {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.repetitionPenalty = repetitionPenalty
        self.seed = seed
        if temperature < 0 || !temperature.isFinite { throw ConfigurationError("temperature is \(temperature); it has to be at least 0") }
        if let topK, topK < 1 { throw ConfigurationError("top-k is \(topK); it has to be at least 1") }
        if !(topP > 0 && topP <= 1) { throw ConfigurationError("top-p is \(topP); it has to be above 0 and at most 1") }
        if repetitionPenalty <= 0 { throw ConfigurationError("repetition penalty is \(repetitionPenalty); it has to be above 0") }
    }
}

/// Draws tokens by a ``SamplingConfiguration``, with a random stream of its own.
public final class Sampler {
    public let configuration: SamplingConfiguration
    private let generator: RandomGenerator

    public init(_ configuration: SamplingConfiguration) {
        self.configuration = configuration
        generator = RandomGenerator(seed: configuration.seed, device: .cpu)
    }

    /// One token from logits `[V]`, given the tokens so far.
    public func sample(_ logits: Tensor, history: [Int]) -> Int {
        let penalized: Tensor = penalizing(logits.to(device: .cpu, dtype: .float32), history)
        if configuration.temperature == 0 { return penalized.argMax(axis: -1).item(Int.self) }
        let limited: Tensor = nucleus(topK(penalized / configuration.temperature))
        return limited.softmax().multinomial(1, generator: generator).item(Int.self)
    }

    private func penalizing(_ logits: Tensor, _ history: [Int]) -> Tensor {
        guard configuration.repetitionPenalty != 1, !history.isEmpty else { return logits }
        var values: [Float] = logits.array()
        let penalty: Float = Float(configuration.repetitionPenalty)
        for token in Set(history) { values[token] = values[token] > 0 ? values[token] / penalty : values[token] * penalty }
        return Tensor(values, device: .cpu)
    }

    private func topK(_ logits: Tensor) -> Tensor {
        guard let k = configuration.topK, k < logits.count else { return logits }
        let threshold: Tensor = logits.topK(k).values.min()
        return logits.maskedFill(logits .< threshold, -Double.infinity)
    }

    /// Keeps the smallest set of likeliest tokens whose probability reaches top-p.
    private func nucleus(_ logits: Tensor) -> Tensor {
        guard configuration.topP < 1 else { return logits }
        let (values, _) = logits.sorted(descending: true)
        let probabilities: Tensor = values.softmax()
        let before: Tensor = probabilities.cumulativeSum(axis: -1) - probabilities
        let kept: Int = (before .< configuration.topP).sum().item(Int.self)
        let threshold: Tensor = values.selected(axis: 0, index: max(kept, 1) - 1)
        return logits.maskedFill(logits .< threshold, -Double.infinity)
    }
}
