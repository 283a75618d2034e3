import Torch

/// The bounds of a ``GenerationEngine``.
public struct EngineConfiguration: Codable, Sendable, Equatable {
    /// Most texts that are continued at a time.
    public var maximumConcurrent: Int
    /// Most texts that wait for a place.
    public var maximumQueue: Int
    /// Most tokens of a prompt; that of attention has to be kept for as long as the text runs.
    public var maximumPrompt: Int
    /// Seconds from a request's arrival to its end.
    public var requestTimeout: Double
    /// Tokens of prompts that are read between two steps of the running texts, so that a long prompt does not hold them up.
    public var prefillSlice: Int
    /// Pieces of text that may wait for a slow reader before its text is left aside.
    public var bufferedPieces: Int

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        maximumConcurrent: Int = 64, maximumQueue: Int = 256, maximumPrompt: Int = 32_768, requestTimeout: Double = 120,
        prefillSlice: Int = 256,
        bufferedPieces: Int = 64
    ) throws {
        self.maximumConcurrent = maximumConcurrent
        self.maximumQueue = maximumQueue
        self.maximumPrompt = maximumPrompt
        self.requestTimeout = requestTimeout
        self.prefillSlice = prefillSlice
        self.bufferedPieces = bufferedPieces
        let counts: [(String, Int, Int)] = [
            ("maximumConcurrent", maximumConcurrent, 1), ("maximumQueue", maximumQueue, 0), ("maximumPrompt", maximumPrompt, 1),
            ("prefillSlice", prefillSlice, 1),
            ("bufferedPieces", bufferedPieces, 1),
        ]
        for (name, value, least) in counts where value < least {
            throw ConfigurationError("serving: \(name) is \(value); it has to be at least \(least)")
        }
        if !(requestTimeout > 0 && requestTimeout.isFinite) {
            throw ConfigurationError("serving: requestTimeout is \(requestTimeout); it has to be above 0 and finite")
        }
    }
}
