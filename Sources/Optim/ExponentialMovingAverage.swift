import Foundation
import Torch

/// A moving average of parameters: `a += (1 - decay) · (p - a)` after every step.
///
/// With bias correction the average starts from nothing and is divided by `1 - decay^t`, so that the first parameters do not weigh more than any
/// others; without, it starts from the parameters as they are when it is made. Averages of half-precision parameters are float32.
public final class ExponentialMovingAverage {
    public let decay: Double
    public let biasCorrected: Bool
    /// Updates so far.
    public private(set) var updateCount: Int = 0
    private let parameters: [Tensor]
    private let names: [String]
    private let averages: [Tensor]
    /// The parameters' own values while the averages are in their place.
    private var kept: [Tensor]?

    /// - Parameters:
    ///   - parameters: what is averaged.
    ///   - names: one for each parameter, for the saved state; nil numbers them.
    ///   - decay: in `0 ..< 1`.
    ///   - biasCorrected: divide by `1 - decay^updates`, so that the start does not count too much.
    /// - Throws: `ConfigurationError` for another decay, names that are not unique, or a parameter that is not real floating point.
    public init(_ parameters: [Tensor], names: [String]? = nil, decay: Double, biasCorrected: Bool = false) throws {
        try Requirement("moving average").decay(decay, "decay")
        let slots: [ParameterSlot] = try ParameterSlot.slots(of: [ParameterGroup(parameters: parameters, names: names)])
        self.parameters = parameters
        self.names = slots.map(\.name)
        self.decay = decay
        self.biasCorrected = biasCorrected
        averages = slots.map { $0.parameter.detached().asType($0.workingDType).cloned() }
    }

    /// Moves the average towards the parameters' present values. Traps while swapped.
    public func update() {
        precondition(kept == nil, "the average is in the parameters' place; swap back before updating")
        updateCount += 1
        // The corrected average a / (1 - decay^t) follows the same recurrence with a weight that falls from 1 to 1 - decay.
        let weight: Double = biasCorrected ? (1 - decay) / (1 - Foundation.pow(decay, Double(updateCount))) : 1 - decay
        noGrad {
            let current: [Tensor] = zip(parameters, averages).map { $0.asType($1.dtype) }
            TensorList.interpolate_(averages, to: current, weight: weight)
        }
    }

    /// Puts the averages in the parameters' place until ``swapOut()``. Traps where they are already.
    public func swapIn() {
        precondition(kept == nil, "the average is in the parameters' place already")
        kept = parameters.map { $0.detached().cloned() }
        copyToParameters()
    }

    /// Gives the parameters their own values back. Traps without ``swapIn()``.
    public func swapOut() {
        guard let kept else { preconditionFailure("swapOut() without swapIn()") }
        noGrad { TensorList.copy_(parameters, from: kept) }
        self.kept = nil
    }

    /// Runs `body` with the averages in the parameters' place, and puts the parameters back also where it throws.
    public func withAverage<Result>(_ body: () throws -> Result) rethrows -> Result {
        swapIn()
        defer { swapOut() }
        return try body()
    }

    /// Overwrites the parameters with the averages, for good.
    public func copyToParameters() { noGrad { TensorList.copy_(parameters, from: averages) } }

    /// The averages by the parameters' names; the live tensors, not copies.
    public func stateTensors() -> [String: Tensor] { Dictionary(uniqueKeysWithValues: zip(names, averages)) }

    /// Takes over a saved average, which then continues bit for bit.
    /// - Throws: ``OptimizerStateError`` for other names, shapes or dtypes, or a negative count; nothing is changed then.
    public func loadState(_ tensors: [String: Tensor], updateCount: Int) throws {
        if updateCount < 0 { throw OptimizerStateError("the average's update count is \(updateCount); it has to be at least 0") }
        for (name, average) in zip(names, averages) {
            guard let found = tensors[name] else { throw OptimizerStateError("the saved average has no tensor \"\(name)\"") }
            if found.shape != average.shape || found.dtype != average.dtype {
                throw OptimizerStateError(
                    "the saved average's \"\(name)\" is \(found.dtype) \(found.shape); the parameter needs \(average.dtype) \(average.shape)"
                )
            }
        }
        if let stranger = tensors.keys.sorted().first(where: { !names.contains($0) }) {
            throw OptimizerStateError("the saved average is of another model: there is no parameter \"\(stranger)\"")
        }
        noGrad { TensorList.copy_(averages, from: names.map { tensors[$0]! }) }
        self.updateCount = updateCount
    }
}
