import Torch

/// Chooses a setting for each layer so that all messages together are shortest while the errors together stay within a budget: a knapsack problem,
/// solved over a grid of errors (L-GreCo, section 3.2).
public enum LayerBudgetSolver {
    /// - Parameters:
    ///   - errors: of each layer, one for each candidate.
    ///   - sizes: as `errors`.
    ///   - budget: most that the chosen errors may sum up to.
    ///   - bins: of the grid. An error is rounded up to it, so that the budget is never exceeded.
    /// - Returns: the candidate of each layer; nil where no choice is within the budget on the grid. Among choices of one size, the one with the smallest
    ///   error on the grid.
    public static func solve(errors: [[Double]], sizes: [[Int]], budget: Double, bins: Int = 10_000) -> [Int]? {
        precondition(errors.map(\.count) == sizes.map(\.count) && bins > 0, "a size for each error, and at least one bin")
        guard budget > 0, budget.isFinite else { return nil }
        return noGrad {
            var least: Tensor = Tensor.full([bins + 1], Double.infinity, dtype: .float64, device: .cpu)
            least[0] = Tensor(0.0, device: .cpu)
            var choices: [Tensor] = []
            for (layerErrors, layerSizes) in zip(errors, sizes) {
                let rows: [Tensor] = zip(layerErrors, layerSizes).map { error, size in
                    shifted(least, by: bin(error, budget: budget, bins: bins), bins: bins) + Double(size)
                }
                guard !rows.isEmpty else { return nil }
                let table: Tensor = stacked(rows)
                least = table.min(axis: 0)
                choices.append(table.argMin(axis: 0))
            }
            let totals: [Double] = least.array(Double.self)
            guard let best = totals.indices.min(by: { (totals[$0], $0) < (totals[$1], $1) }), totals[best].isFinite else { return nil }
            return trace(choices, from: best, errors: errors, budget: budget, bins: bins)
        }
    }

    /// Bins that an error takes, at least one; nil where it alone is above the budget.
    private static func bin(_ error: Double, budget: Double, bins: Int) -> Int? {
        guard error <= budget else { return nil }
        return min(bins, max(1, Int((error * Double(bins) / budget).rounded(.up))))
    }

    /// The table of what is reached with `steps` bins more; infinite where the bins do not suffice or the candidate is out of the question.
    private static func shifted(_ least: Tensor, by steps: Int?, bins: Int) -> Tensor {
        guard let steps else { return Tensor.full([bins + 1], Double.infinity, dtype: .float64, device: .cpu) }
        let unreachable: Tensor = Tensor.full([steps], Double.infinity, dtype: .float64, device: .cpu)
        return concatenated([unreachable, least.narrowed(axis: 0, start: 0, length: bins + 1 - steps)])
    }

    private static func trace(_ choices: [Tensor], from end: Int, errors: [[Double]], budget: Double, bins: Int) -> [Int] {
        var place: Int = end
        var chosen: [Int] = []
        for (layer, choice) in choices.enumerated().reversed() {
            let candidate: Int = Int(choice[place].item(Int64.self))
            chosen.append(candidate)
            place -= bin(errors[layer][candidate], budget: budget, bins: bins)!
        }
        return chosen.reversed()
    }
}
