import Torch

/// Updates parameters in place from their gradients. Every optimizer of Linnet has these members and no others to learn.
///
///     let optimizer = try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration(learningRate: 3e-4))
///     let (loss, gradients) = valueAndGrad(of: model.parameters()) { … }
///     optimizer.step(gradients)
///
/// Not `Sendable`: an optimizer belongs to whoever trains.
public protocol Optimizer: AnyObject {
    associatedtype Configuration: UpdateRule

    /// - Throws: `ConfigurationError` for a setting out of its range, a parameter or a name that comes twice, or a parameter that is not
    ///   real floating point.
    init(groups: [ParameterGroup], configuration: Configuration) throws

    var configuration: Configuration { get }

    /// The rate that groups without one of their own follow; a schedule may set it before every step.
    var learningRate: Double { get set }

    /// The groups. Their settings may change between steps, their parameters may not (that traps).
    var parameterGroups: [ParameterGroup] { get set }

    /// Updates every parameter that has a gradient, in place and without recording.
    /// - Parameters:
    ///   - gradients: in the order of the parameters, group after group, of the parameters' shapes; nil leaves a parameter, its state and
    ///     its step count as they are. Gradients are not written to.
    ///   - learningRateFactor: a schedule's factor on every learning rate, for this step alone.
    func step(_ gradients: [Tensor?], learningRateFactor: Double)

    /// The tensors that the next steps depend on beside the parameters, as `parameter.state` (`encoder.weight.exp_avg`). They are the live
    /// ones, not copies. Parameters that were never updated have none.
    func stateTensors() -> [String: Tensor]

    /// The numbers that the next steps depend on.
    var scalarState: OptimizerScalars { get }

    /// Takes over a saved state; the steps that follow are bit for bit those of the optimizer that was saved.
    /// - Throws: ``OptimizerStateError`` for state of other parameters, shapes, dtypes or another rule; nothing is changed then.
    func loadState(_ tensors: [String: Tensor], scalars: OptimizerScalars) throws
}

extension Optimizer {
    /// One group of parameters, all with the configuration's settings.
    /// - Parameters:
    ///   - parameters: what is trained.
    ///   - names: nil numbers the parameters.
    ///   - configuration: the rule's settings.
    public init(parameters: [Tensor], names: [String]? = nil, configuration: Configuration) throws {
        try self.init(groups: [ParameterGroup(parameters: parameters, names: names)], configuration: configuration)
    }

    public func step(_ gradients: [Tensor?]) { step(gradients, learningRateFactor: 1) }

    /// The parameters in the order in which gradients are given.
    public var parameters: [Tensor] { parameterGroups.flatMap(\.parameters) }

    /// Bytes of the state's tensors.
    public var stateByteCount: Int { stateTensors().values.reduce(0) { $0 + $1.byteCount } }
}

/// The part of an optimizer's state that is not tensors.
public struct OptimizerScalars: Codable, Sendable, Equatable {
    public var learningRate: Double
    /// Updates so far of each parameter that had any.
    public var stepCounts: [String: Int]

    public init(learningRate: Double, stepCounts: [String: Int]) {
        self.learningRate = learningRate
        self.stepCounts = stepCounts
    }
}

/// Why a saved state does not fit an optimizer, as one line.
public struct OptimizerStateError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String

    init(_ description: String) { self.description = description }
}
