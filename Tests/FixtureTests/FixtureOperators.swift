/// The operators of the fixtures. A file's operator is the longest of these names that its own begins with.
enum FixtureOperators {
    static let harness: FixtureHarness = FixtureHarness(operators: operators, pending: pending)

    static let operators: [FixtureOperator] =
        layerFunctionOperators
        + linearAttentionOperators
        + stateSpaceOperators
        + layerOperators
        + optimizerOperators
        + transformerOperators

    /// Operators of later issues; each leaves this list when its handler joins ``operators``.
    static let pending: [String] = []
}
