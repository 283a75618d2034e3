import Torch

/// An operator of the fixtures, run by Linnet's function in one or more forms that have to give the same.
struct FixtureOperator: Sendable {
    /// One way of computing the operator, such as chunkwise.
    struct Form: Sendable {
        let label: String
        /// Values by the names that the file has them under in float32: `out.o`, `grad.q`, `traj.W`.
        let evaluate: @Sendable (FixtureInputs) throws -> [String: Tensor]
    }

    /// What file names begin with.
    let name: String
    let forms: [Form]

    /// An operator given by its outputs; loss and gradients follow from the file's cotangents.
    ///
    /// `function` returns outputs by name (`o` for `out.o`); names with a dot (`const.log_decay`) are taken as they are.
    static func differentiable(_ name: String, _ function: @escaping @Sendable (FixtureInputs) throws -> [String: Tensor])
        -> FixtureOperator
    {
        differentiable(name, forms: [("", function)])
    }

    /// As ``differentiable(_:_:)``, in several forms.
    static func differentiable(
        _ name: String, forms: [(label: String, function: @Sendable (FixtureInputs) throws -> [String: Tensor])]
    ) -> FixtureOperator {
        FixtureOperator(
            name: name,
            forms: forms.map { form in Form(label: form.label) { try valuesAndGradients(of: form.function, $0) } })
    }

    /// An operator without gradients or with its own idea of them, given by all values under their names in the file.
    static func plain(_ name: String, _ evaluate: @escaping @Sendable (FixtureInputs) throws -> [String: Tensor]) -> FixtureOperator {
        FixtureOperator(name: name, forms: [Form(label: "", evaluate: evaluate)])
    }
}

/// Runs the function and, where the file has cotangents, the sum of outputs times cotangents backwards.
private func valuesAndGradients(
    of function: (FixtureInputs) throws -> [String: Tensor], _ inputs: FixtureInputs
) throws -> [String: Tensor] {
    let wanted: [String] = inputs.names("grad")
    var recorded: FixtureInputs = inputs
    for name in wanted { recorded.leaves[name] = try inputs.tensor(name).cloned().requiringGrad() }
    let outputs: [String: Tensor] = try function(recorded)
    var results: [String: Tensor] = [:]
    for (name, output) in outputs { results[name.contains(".") ? name : "out.\(name)"] = output.detached() }
    let terms: [Tensor] = try inputs.names("cot").map { name in
        guard let output = outputs[name] else { throw FixtureError("the handler gives no output \(name), which has a cotangent") }
        return (output * (try inputs.cotangent(name))).sum()
    }
    guard let first = terms.first else { return results }
    let loss: Tensor = terms.dropFirst().reduce(first, +)
    results["out.loss"] = loss.detached().reshaped(1)
    let found: [Tensor] = gradients(of: [loss], withRespectTo: wanted.map { recorded.leaves[$0]! })
    for (name, gradient) in zip(wanted, found) { results["grad.\(name)"] = gradient }
    return results
}
