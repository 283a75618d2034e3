import Torch

/// Which parameters one step updates together.
struct UpdatePlan {
    /// Parameters that a rule's one call updates.
    struct Section {
        let group: Int
        /// Positions among all parameters.
        let indices: [Int]
        let slots: [ParameterSlot]
        /// As ``UpdateBatch/state``.
        let state: [[Tensor]]
    }

    let sections: [Section]
    private let present: [Bool]

    init(slots: [ParameterSlot], gradients: [Tensor?]) {
        present = gradients.map { $0 != nil }
        var order: [ParameterSlot.Key] = []
        var members: [ParameterSlot.Key: [Int]] = [:]
        for index in slots.indices where gradients[index] != nil {
            let key: ParameterSlot.Key = slots[index].key
            if members[key] == nil { order.append(key) }
            members[key, default: []].append(index)
        }
        sections = order.map { key in
            let indices: [Int] = members[key] ?? []
            let chosen: [ParameterSlot] = indices.map { slots[$0] }
            return Section(
                group: key.group, indices: indices, slots: chosen,
                state: (0..<key.stateCount).map { number in chosen.map { $0.state[number] } })
        }
    }

    /// Whether the same parameters have gradients as when the plan was made. Step counts then advance together.
    func fits(_ gradients: [Tensor?]) -> Bool {
        for index in present.indices where present[index] != (gradients[index] != nil) { return false }
        return true
    }
}
