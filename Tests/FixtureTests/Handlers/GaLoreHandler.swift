import Optim
import Torch

/// GaLore on the quadratic. A decomposition is free to choose the signs of its vectors, and the moments that outlive a change of directions depend on
/// them: before each choice the moments are turned to the signs that the optimizer is going to find, and what is compared is turned back to the file's.
struct GaLoreDescent {
    private let descent: Descent
    private let optimizer: GaLoreAdamW
    private let gap: Int
    /// The file's directions at every step: `[20, r, n]` right of tall matrices, `[20, m, r]` left of wide ones.
    private let directions: [Tensor]

    init(_ inputs: FixtureInputs) throws {
        guard let match = inputs.variant.firstMatch(of: /r([0-9]+)_gap([0-9]+)/), let rank = Int(match.1), let gap = Int(match.2) else {
            throw FixtureError("no rank and gap such as r4_gap7 in the name's end \(inputs.variant)")
        }
        descent = try Descent(inputs)
        self.gap = gap
        directions = try descent.names.map { try inputs.file.tensor("out.\($0).projector").asType(inputs.dtype) }
        let decay: Double = inputs.variant.contains("wd") ? try weightDecay(in: inputs.variant) : 0
        optimizer = try GaLoreAdamW(
            parameters: descent.parameters, names: descent.names,
            configuration: GaLoreConfiguration(learningRate: 0.05, weightDecay: decay, rank: rank, updateGap: gap))
    }

    func run() throws -> [String: Tensor] {
        var results: [String: [Tensor]] = [:]
        var signs: [Tensor?] = descent.names.map { _ in nil }
        record(&results, "traj", descent.parameters)
        for step in 0..<descent.steps {
            let gradients: [Tensor] = descent.slopes()
            if step % gap == 0 {
                for index in signs.indices { signs[index] = turned(index, gradients[index], step: step, from: signs[index]) }
            }
            optimizer.step(gradients)
            record(&results, "grads", gradients)
            record(&results, "traj", descent.parameters)
            for index in signs.indices { record(&results, index, signs[index]!) }
        }
        return results.mapValues { stacked($0) }.merging(moments(signs)) { $1 }
    }

    private func isTall(_ index: Int) -> Bool { descent.parameters[index].dim(0) >= descent.parameters[index].dim(1) }

    private func record(_ results: inout [String: [Tensor]], _ kind: String, _ tensors: [Tensor]) {
        for (name, tensor) in zip(descent.names, tensors) { results["\(kind).\(name)", default: []].append(tensor.cloned()) }
    }

    private func record(_ results: inout [String: [Tensor]], _ index: Int, _ signs: Tensor) {
        let name: String = descent.names[index]
        let state: [String: Tensor] = optimizer.stateTensors()
        let turned: Tensor = state[isTall(index) ? "\(name).right_projector" : "\(name).left_projector"]! * signs
        results["out.\(name).projector", default: []].append(isTall(index) ? turned.transposed() : turned)
    }

    /// The signs `[r]` of the directions that the optimizer will choose for this gradient by the file's; the moment follows.
    private func turned(_ index: Int, _ gradient: Tensor, step: Int, from old: Tensor?) -> Tensor {
        let matrix: Tensor = isTall(index) ? gradient : gradient.transposed()
        let file: Tensor = directions[index].selected(axis: 0, index: step)
        let wanted: Tensor = isTall(index) ? file.transposed() : file
        let found: Tensor = SVDProjector().basis(for: matrix, rank: wanted.dim(1), previous: nil, seed: 0)
        let new: Tensor = (found * wanted).sum(axis: 0).sign()
        if let old { average(index).multiply_(alongMoment(old * new, index)) }
        return new
    }

    private func average(_ index: Int) -> Tensor { optimizer.stateTensors()["\(descent.names[index]).exp_avg"]! }

    /// Signs `[r]` so that they meet the r columns or rows of a moment.
    private func alongMoment(_ signs: Tensor, _ index: Int) -> Tensor { isTall(index) ? signs : signs.expandedDimensions(axis: 1) }

    private func moments(_ signs: [Tensor?]) -> [String: Tensor] {
        var results: [String: Tensor] = [:]
        for (index, name) in descent.names.enumerated() {
            results["out.\(name).exp_avg"] = average(index) * alongMoment(signs[index]!, index)
            results["out.\(name).exp_avg_sq"] = optimizer.stateTensors()["\(name).exp_avg_sq"]!
        }
        return results
    }
}
