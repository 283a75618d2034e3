/// Switches between a strong and a gentle compression by the course of training (Agarwal et al., 2021, *Accordion*): gentle while the norm of the
/// gradients changes much from one look to the next, strong where it does not.
public struct Accordion: Sendable, Equatable {
    /// References of the two.
    public let strong: Double
    public let gentle: Double
    /// Relative change of the norm from which training counts as critical.
    public let threshold: Double
    /// The one in use; at first the gentle one.
    public internal(set) var reference: Double
    var norm: Double?

    public init(strong: Double, gentle: Double, threshold: Double = 0.5) {
        precondition(strong > 0 && gentle > 0 && threshold > 0, "Accordion's settings have to be above 0")
        self.strong = strong
        self.gentle = gentle
        self.threshold = threshold
        reference = gentle
    }

    /// Takes note of the gradients' norm and gives the reference from now on.
    public mutating func update(norm new: Double) -> Double {
        if let norm { reference = abs(new - norm) >= threshold * norm ? gentle : strong }
        norm = new
        return reference
    }
}
