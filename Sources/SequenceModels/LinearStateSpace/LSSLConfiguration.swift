import Torch

/// The settings of an ``LSSL`` layer.
public struct LSSLConfiguration: Codable, Sendable, Equatable {
    /// Which parts of the state transition are trained.
    public enum Transition: String, Codable, Sendable, CaseIterable {
        /// A and Δ stay as they start (the paper's LSSL-f).
        case fixed
        /// One structured A for all features, and Δ, are trained.
        case shared
        /// A structured A for each feature, and Δ, are trained.
        case perFeature
    }

    /// H, the width of the residual stream.
    public var features: Int
    /// N, the size of each feature's state; at least 2.
    public var order: Int = 64
    /// M, outputs of each feature's system.
    public var channels: Int = 1
    public var measure: HiPPO = .legs
    public var transition: Transition = .shared
    /// θ of LegT.
    public var window: Double = HiPPO.defaultWindow
    /// Weight of the implicit side in the discretisation.
    public var alpha: Double = 0.5
    /// Δ starts log-uniform between these.
    public var smallestStep: Double = 0.001
    public var largestStep: Double = 0.1
    /// Probability of dropping an activation before the output projection.
    public var dropout: Double = 0
    /// Whether each system's output gets a bias before the activation.
    public var bias: Bool = false

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        features: Int, order: Int = 64, channels: Int = 1, measure: HiPPO = .legs, transition: Transition = .shared,
        window: Double = HiPPO.defaultWindow, alpha: Double = 0.5, smallestStep: Double = 0.001, largestStep: Double = 0.1,
        dropout: Double = 0, bias: Bool = false
    ) throws {
        self.features = features
        self.order = order
        self.channels = channels
        self.measure = measure
        self.transition = transition
        self.window = window
        self.alpha = alpha
        self.smallestStep = smallestStep
        self.largestStep = largestStep
        self.dropout = dropout
        self.bias = bias
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public func validate() throws {
        try require(features > 0, "features is \(features); it has to be at least 1")
        try require(order >= 2, "order is \(order); it has to be at least 2")
        try require(channels > 0, "channels is \(channels); it has to be at least 1")
        try require(window > 0 && window.isFinite, "window is \(window); it has to be above 0 and finite")
        try require((0...1).contains(alpha), "alpha is \(alpha); it has to lie in 0 ... 1")
        try require(
            smallestStep > 0 && largestStep >= smallestStep && largestStep.isFinite,
            "steps from \(smallestStep) to \(largestStep); they have to be above 0 and ascending")
        try require((0..<1).contains(dropout), "dropout is \(dropout); it has to lie in 0 ..< 1")
    }

    private func require(_ holds: Bool, _ message: String) throws {
        if !holds { throw ConfigurationError("LSSL: \(message)") }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case features, order, channels, measure, transition, window, alpha, smallestStep, largestStep, dropout, bias
    }

    /// Fields that are missing keep their defaults; `features` has none.
    /// - Throws: `ConfigurationError` for a missing width, a setting out of its range, and an unknown field.
    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "LSSL")
        features = 0
        try fields.read(.features, into: &features)
        try fields.read(.order, into: &order)
        try fields.read(.channels, into: &channels)
        try fields.read(.measure, into: &measure)
        try fields.read(.transition, into: &transition)
        try fields.read(.window, into: &window)
        try fields.read(.alpha, into: &alpha)
        try fields.read(.smallestStep, into: &smallestStep)
        try fields.read(.largestStep, into: &largestStep)
        try fields.read(.dropout, into: &dropout)
        try fields.read(.bias, into: &bias)
        try validate()
    }
}
