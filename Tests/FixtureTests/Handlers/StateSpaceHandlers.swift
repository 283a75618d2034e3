import SequenceModels
import Torch

/// HiPPO matrices, their discretisations, and the Krylov kernel of a discrete system with the system itself.
let stateSpaceOperators: [FixtureOperator] = [
    .plain("hippo_legs") { try hippo(.legs, $0) },
    .plain("hippo_legt") { try hippo(.legt, $0) },
    .differentiable("krylov_legs", forms: krylovForms),
    .differentiable("krylov_legt", forms: krylovForms),
]

/// The matrices and, for each `out.gbt.dt0.1.a0.5.Ad` or `out.zoh.dt0.1.Bd` of the file, the discretisation that its name asks for.
private func hippo(_ measure: HiPPO, _ inputs: FixtureInputs) throws -> [String: Tensor] {
    let order: Int = try inputs.shape("out.A")[0]
    let (A, B): (Tensor, Tensor) = measure.matrices(order: order, dtype: inputs.dtype, device: .cpu)
    var results: [String: Tensor] = ["out.A": A, "out.B": B]
    for name in inputs.names("out") where name.hasSuffix(".Ad") {
        let rule: String = String(name.dropLast(3))
        let discrete: (A: Tensor, B: Tensor) = try discretized(rule, A, B)
        results["out.\(rule).Ad"] = discrete.A
        results["out.\(rule).Bd"] = discrete.B
    }
    return results
}

/// - Parameter rule: `gbt.dt0.1.a0.5` or `zoh.dt0.1`.
private func discretized(_ rule: String, _ A: Tensor, _ B: Tensor) throws -> (A: Tensor, B: Tensor) {
    if let match = rule.wholeMatch(of: /gbt\.dt([0-9.e-]+)\.a([0-9.]+)/), let dt = Double(match.1), let alpha = Double(match.2) {
        return generalizedBilinear(A: A, B: B, dt: dt, alpha: alpha)
    }
    if let match = rule.wholeMatch(of: /zoh\.dt([0-9.e-]+)/), let dt = Double(match.1) { return zeroOrderHold(A: A, B: B, dt: dt) }
    throw FixtureError("unknown discretisation \(rule)")
}

private let krylovForms: [(label: String, function: @Sendable (FixtureInputs) throws -> [String: Tensor])] = [
    ("recurrence", { inputs in try krylovSystem(inputs) { $0.recur($1) } }),
    ("convolution", { inputs in try krylovSystem(inputs) { $0.convolve($1) } }),
]

/// The kernel of a system with one feature and one output, and what it makes of `u`, `[B, L]`.
private func krylovSystem(
    _ inputs: FixtureInputs, _ run: (DiscreteStateSpace, Tensor) -> (output: Tensor, state: Tensor)
) throws -> [String: Tensor] {
    let (A, B, C): (Tensor, Tensor, Tensor) = (try inputs.tensor("A"), try inputs.tensor("B"), try inputs.tensor("C"))
    let length: Int = try inputs.shape("cot.K")[0]
    let kernel: Tensor = stateSpaceKernel(A: A, B: B, C: C.expandedDimensions(axis: 0), length: length)
    let u: Tensor = try inputs.tensor("u")
    let system: DiscreteStateSpace = DiscreteStateSpace(
        A: A.expandedDimensions(axis: 0), B: B.expandedDimensions(axis: 0), C: C.reshaped(1, 1, C.count))
    let result: (output: Tensor, state: Tensor) = run(system, u.expandedDimensions(axis: 1))
    let output: Tensor = result.output.reshaped(u.shape) + u * (try inputs.tensor("D"))
    return ["K": kernel.reshaped(length), "y": output, "state": result.state.squeezed(axis: 1)]
}
