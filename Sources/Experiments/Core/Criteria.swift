/// What is asked of an experiment's measurements, written down before it runs.
public struct Criteria: Sendable {
    public let gates: [Gate]
    public let claims: [Claim]

    public init(gates: [Gate], claims: [Claim]) {
        self.gates = gates
        self.claims = claims
    }
}

/// Something that only wrong code fails; it has to hold on every seed.
public struct Gate: Sendable {
    public let statement: String
    let holds: @Sendable (SeedMeasurements) -> Bool

    public init(_ statement: String, holds: @escaping @Sendable (SeedMeasurements) -> Bool) {
        self.statement = statement
        self.holds = holds
    }

    public func judge(_ measurements: Measurements, seeds: [UInt64]) -> GateResult {
        let failed: [UInt64] = seeds.filter { !holds(measurements.seed($0)) }
        return GateResult(statement: statement, passed: failed.isEmpty && !seeds.isEmpty, failedSeeds: failed)
    }
}

public struct GateResult: Codable, Sendable {
    public let statement: String
    public let passed: Bool
    public let failedSeeds: [UInt64]
}

/// The paper's effect at this scale: a quantity that should reach a threshold.
public struct Claim: Sendable {
    public let statement: String
    /// The quantity has to be at least this. (Where less is better the quantity is written as a gain.)
    public let threshold: Double
    let quantity: @Sendable (SeedMeasurements) -> Double

    public init(_ statement: String, atLeast threshold: Double, quantity: @escaping @Sendable (SeedMeasurements) -> Double) {
        self.statement = statement
        self.threshold = threshold
        self.quantity = quantity
    }

    /// Judges by the two-sided 90 % Student interval of the mean over seeds: `shown` when it lies wholly at or above the threshold,
    /// `not shown` when wholly below, otherwise (also with a single seed, or a number missing) `inconclusive`.
    public func judge(_ measurements: Measurements, seeds: [UInt64]) -> ClaimResult {
        let values: [Double] = seeds.map { quantity(measurements.seed($0)) }
        guard !values.isEmpty, values.allSatisfy(\.isFinite) else {
            return ClaimResult(statement: statement, threshold: threshold, values: [], mean: nil, interval: nil, verdict: .inconclusive)
        }
        let summary: Summary = Summary(values)
        guard let interval: [Double] = summary.interval else {
            return ClaimResult(
                statement: statement, threshold: threshold, values: values, mean: summary.mean, interval: nil, verdict: .inconclusive)
        }
        let verdict: Verdict = interval[0] >= threshold ? .shown : interval[1] < threshold ? .notShown : .inconclusive
        return ClaimResult(
            statement: statement, threshold: threshold, values: values, mean: summary.mean, interval: interval, verdict: verdict)
    }
}

/// What the numbers say about a claim.
public enum Verdict: String, Codable, Sendable {
    case shown
    case notShown = "not shown"
    case inconclusive
}

public struct ClaimResult: Codable, Sendable {
    public let statement: String
    public let threshold: Double
    /// The quantity of each seed; empty where one was missing or not finite.
    public let values: [Double]
    public let mean: Double?
    /// 90 % interval of the mean, lower and upper end.
    public let interval: [Double]?
    public let verdict: Verdict
}

/// Quantiles of Student's t distribution.
enum StudentT {
    /// The 95 % quantile: 90 % of the probability lies within ± it.
    static func quantile95(degrees: Int) -> Double {
        let table: [Double] = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812]
        precondition(degrees > 0, "Student's t needs at least one degree of freedom")
        if degrees <= table.count { return table[degrees - 1] }
        // Cornish–Fisher expansion about the normal quantile; exact to three digits from ten degrees on.
        let z: Double = 1.644854
        let n: Double = Double(degrees)
        return z + (z * z * z + z) / (4 * n) + (5 * z * z * z * z * z + 16 * z * z * z + 3 * z) / (96 * n * n)
    }
}
