/// What ``gradientCheck(of:_:step:tolerance:secondOrder:)`` found.
public struct GradientCheckReport: Sendable, CustomStringConvertible {
    /// The largest `|analytic - numeric| / max(1, |analytic|, |numeric|)` over all elements of all inputs.
    public let worstRelativeError: Double
    /// The input where it occurred, the element's place in row-major order, and both values.
    public let input: Int
    public let element: Int
    public let analytic: Double
    public let numeric: Double

    public var description: String {
        "worst relative error \(worstRelativeError) at element \(element) of input \(input): analytic \(analytic), finite difference \(numeric)"
    }
}

/// The gradient of a function does not agree with its finite differences.
public struct GradientCheckError: Error, Sendable, CustomStringConvertible {
    public let report: GradientCheckReport
    public let tolerance: Double

    public var description: String { "gradientCheck: \(report); the tolerance is \(tolerance)" }
}

/// Compares the gradients of a function with central finite differences, element by element, in float64.
///
/// The outputs are reduced to one number by fixed weights that differ from element to element, so that errors cannot cancel;
/// for second order the gradient itself is differentiated the same way.
/// - Parameters:
///   - function: deterministic (seed what is random inside); takes and gives floating tensors and runs in float64.
///   - inputs: any floating type; used as float64.
///   - step: distance of the finite difference; its error falls with the square and grows with `1e-16 / step`.
///   - secondOrder: check the derivatives of the gradients too.
/// - Returns: the worst element.
/// - Throws: ``GradientCheckError`` above the tolerance; ``TorchError`` where an operator fails.
@discardableResult
public func gradientCheck(
    _ inputs: [Tensor], step: Double = 1e-6, tolerance: Double = 1e-6, secondOrder: Bool = false,
    of function: @escaping ([Tensor]) -> [Tensor]
) throws -> GradientCheckReport {
    let leaves: [Tensor] = inputs.map { $0.detached().to(device: $0.device, dtype: .float64).contiguous().cloned() }
    let scalar: ([Tensor]) -> Tensor = { weightedSum(function($0)) }
    let first: GradientCheckReport = try compare(scalar, leaves, step)
    guard first.worstRelativeError <= tolerance else { throw GradientCheckError(report: first, tolerance: tolerance) }
    guard secondOrder else { return first }
    let gradient: ([Tensor]) -> Tensor = { arguments in
        enableGrad {
            let tracked: [Tensor] = arguments.map { $0.requiresGrad ? $0 : $0.detached().requiringGrad() }
            return weightedSum(gradients(of: [scalar(tracked)], withRespectTo: tracked, createGraph: true))
        }
    }
    let second: GradientCheckReport = try compare(gradient, leaves, step)
    guard second.worstRelativeError <= tolerance else { throw GradientCheckError(report: second, tolerance: tolerance) }
    return first.worstRelativeError >= second.worstRelativeError ? first : second
}

/// `Σ w · x` over all tensors with weights between 0.5 and 1.5 that are the same on every call.
private func weightedSum(_ tensors: [Tensor]) -> Tensor {
    let sums: [Tensor] = tensors.map { result in
        let tensor: Tensor = result.dtype.isComplex ? result.viewAsReal() : result
        let places: Tensor = Tensor.arange(tensor.count, dtype: .float64, device: tensor.device)
        let weights: Tensor = ((places + 1.0) * 12.9898).sin() * 0.5 + 1.0
        return (tensor.flattened() * weights).sum()
    }
    return stacked(sums).sum()
}

private func compare(_ scalar: ([Tensor]) -> Tensor, _ leaves: [Tensor], _ step: Double) throws -> GradientCheckReport {
    var worst: GradientCheckReport = GradientCheckReport(worstRelativeError: -1, input: 0, element: 0, analytic: 0, numeric: 0)
    let tracked: [Tensor] = leaves.map { $0.detached().requiringGrad() }
    let analytic: [Tensor] = try withTorchErrors {
        let value: Tensor = enableGrad { scalar(tracked) }
        // A function that is cut off from its inputs has the gradient zero, which the differences may contradict.
        return value.requiresGrad ? gradients(of: [value], withRespectTo: tracked) : leaves.map { $0.zerosLike() }
    }
    for (index, leaf) in leaves.enumerated() {
        let expected: [Double] = analytic[index].array()
        let differences: [Double] = try (0..<leaf.count).map { try centralDifference(scalar, leaves, input: index, element: $0, step) }
        for (element, (exact, numeric)) in zip(expected, differences).enumerated() {
            let error: Double = abs(exact - numeric) / max(1, abs(exact), abs(numeric))
            if error > worst.worstRelativeError || error.isNaN {
                worst = GradientCheckReport(
                    worstRelativeError: error.isNaN ? .infinity : error, input: index, element: element, analytic: exact, numeric: numeric)
            }
        }
    }
    return worst
}

private func centralDifference(
    _ scalar: ([Tensor]) -> Tensor, _ leaves: [Tensor], input: Int, element: Int, _ step: Double
) throws -> Double {
    let place: Tensor = leaves[input].flattened().narrowed(axis: 0, start: element, length: 1)
    let middle: Tensor = place.cloned()
    defer { place.copy_(from: middle) }
    func value(_ offset: Double) throws -> Double {
        place.copy_(from: middle + offset)
        return try withTorchErrors { noGrad { scalar(leaves) } }.item()
    }
    return (try value(step) - value(-step)) / (2 * step)
}
