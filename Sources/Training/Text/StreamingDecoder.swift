/// Decodes ids one at a time, as a model generates them.
///
/// A piece comes out as soon as no later id can change it: bytes of an unfinished character wait for the rest of it.
public struct StreamingDecoder: Sendable {
    private let pipeline: TokenizerPipeline
    private let skipsSpecialTokens: Bool
    private var run: DecodingRun

    init(_ pipeline: TokenizerPipeline, skippingSpecialTokens: Bool) {
        self.pipeline = pipeline
        skipsSpecialTokens = skippingSpecialTokens
        run = DecodingRun(pipeline.decoder)
    }

    /// Takes an id in and gives the text that is now certain, often none.
    public mutating func append(_ id: Int) -> String { String(decoding: bytes(of: id), as: UTF8.self) }

    /// The text that was held back; an unfinished character as U+FFFD. To be called once, at the end.
    public mutating func finish() -> String { String(decoding: run.finish(), as: UTF8.self) }

    /// All of the text of some ids.
    mutating func decode(_ ids: [Int]) -> String {
        var text: [UInt8] = []
        for id in ids { text += bytes(of: id) }
        text += run.finish()
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func bytes(of id: Int) -> [UInt8] {
        guard let token = pipeline.tokenForDecoding(id, skippingSpecialTokens: skipsSpecialTokens) else { return [] }
        return run.feed(token)
    }
}
