import Torch

/// Looks a saved optimizer state over before any of it is used.
struct StateLoader<Rule: UpdateRule> {
    let rule: Rule
    let tensors: [String: Tensor]
    let scalars: OptimizerScalars

    /// Copies of the state of each parameter, on its device; empty for one that was never updated.
    /// - Throws: ``OptimizerStateError`` for what is missing, misshapen or left over.
    func states(of slots: [ParameterSlot]) throws -> [[Tensor]] {
        let known: Set<String> = Set(slots.map(\.name))
        if let stranger = scalars.stepCounts.keys.sorted().first(where: { !known.contains($0) }) {
            throw OptimizerStateError("the state is of another model: the optimizer has no parameter \"\(stranger)\"")
        }
        var used: Set<String> = []
        let states: [[Tensor]] = try slots.map { slot in
            guard let count = scalars.stepCounts[slot.name] else { return [] }
            if count < 1 { throw OptimizerStateError("the step count of \(slot.name) is \(count); it has to be at least 1") }
            let like: Tensor = slot.workingCopy().detached()
            let rule: any UpdateRule = rule.rule(of: slot)
            return try rule.stateNames(shape: slot.shape).map { name in
                used.insert("\(slot.name).\(name)")
                return try copy("\(slot.name).\(name)", like: rule.initialState(name, of: like))
            }
        }
        if let stranger = tensors.keys.sorted().first(where: { !used.contains($0) }) {
            throw OptimizerStateError("the state is of another optimizer or model: nothing uses its tensor \"\(stranger)\"")
        }
        return states
    }

    private func copy(_ name: String, like fresh: Tensor) throws -> Tensor {
        guard let found = tensors[name] else { throw OptimizerStateError("the state has no tensor \"\(name)\"") }
        if found.shape != fresh.shape || found.dtype != fresh.dtype {
            throw OptimizerStateError(
                "the state's \"\(name)\" is \(found.dtype) \(found.shape); the parameter needs \(fresh.dtype) \(fresh.shape)")
        }
        let owned: Tensor = fresh.emptyLike()
        owned.copy_(from: found)
        return owned
    }
}
