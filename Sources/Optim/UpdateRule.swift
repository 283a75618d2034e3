import Torch

/// The arithmetic of one optimizer and its settings; ``FusedOptimizer`` does everything else.
///
/// To add an optimizer, write a `Codable` struct that conforms to this protocol.
public protocol UpdateRule: Codable, Sendable, Equatable {
    var learningRate: Double { get }
    var weightDecay: Double { get }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    func validate() throws

    /// The names of the state tensors that a parameter of this shape has, in the order of ``UpdateBatch/state``.
    func stateNames(shape: [Int]) -> [String]

    /// A state tensor before the first update. `parameter` has the dtype and the device of the state.
    func initialState(_ name: String, of parameter: Tensor) -> Tensor

    /// Updates the batch's parameters and state in place; runs under `noGrad`. Gradients must not be written to.
    func update(_ batch: UpdateBatch)

    /// Whether pieces of a parameter can be updated apart from one another: each element from its own gradient and state, and beside them from nothing of
    /// the parameter but ``UpdateBatch/norms(_:)``.
    var worksOnPieces: Bool { get }

    /// Whether the rule updates a parameter of this name and shape; ``fallback`` updates the others.
    func applies(to name: String, shape: [Int]) -> Bool

    /// The rule of the parameters that this one does not apply to, such as embeddings where matrices are projected. Its learning rate is
    /// scaled as this rule's is.
    var fallback: any UpdateRule { get }
}

extension UpdateRule {
    public func initialState(_ name: String, of parameter: Tensor) -> Tensor { parameter.zerosLike() }

    public var worksOnPieces: Bool { false }

    public func applies(to name: String, shape: [Int]) -> Bool { true }

    public var fallback: any UpdateRule { self }

    /// What updates a parameter of this name and shape: this rule or its fallback.
    public func rule(for name: String, shape: [Int]) -> any UpdateRule { applies(to: name, shape: shape) ? self : fallback }
}

/// Parameters that one call updates: of one group, device, dtype (float32 or float64) and step count, all contiguous.
public struct UpdateBatch {
    /// The parameters' names in the optimizer.
    public let names: [String]
    public let parameters: [Tensor]
    /// One for each parameter, of its shape and dtype.
    public let gradients: [Tensor]
    /// `state[i][j]` is the state tensor called `stateNames[i]` of parameter `j`.
    public let state: [[Tensor]]
    /// The number of this update, from 1.
    public let step: Int
    public let learningRate: Double
    public let weightDecay: Double
    /// Where parameters are pieces, gives sums of squares over all pieces.
    public let pieceSums: PieceSums?

    /// The 2-norms `[k]` of tensors shaped like the k parameters; where these are pieces of parameters, of all pieces together.
    public func norms(_ tensors: [Tensor]) -> Tensor {
        let own: Tensor = stacked(TensorList.norms(tensors))
        guard let pieceSums else { return own }
        return pieceSums(own.square(), names).sqrt()
    }
}

/// Sums of squares `[k]` over all pieces of the parameters that are called so, from those of this process's pieces.
public typealias PieceSums = (_ squares: Tensor, _ names: [String]) -> Tensor

/// An optimizer whose parameters may be pieces of larger ones, that other processes hold the rest of.
public protocol PieceOptimizer: Optimizer {
    /// Nil, as at first, where parameters are whole.
    var pieceSums: PieceSums? { get set }
}
