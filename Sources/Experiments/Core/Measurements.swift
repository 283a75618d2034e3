/// What an experiment measured: numbers by method, metric and seed, and curves.
public struct Measurements: Codable, Sendable {
    /// One number of one seed.
    public struct Value: Codable, Sendable {
        public let method: String
        public let metric: String
        public let seed: UInt64
        public let value: Double
    }

    /// A quantity along training or another axis, for plots.
    public struct Curve: Codable, Sendable {
        public let method: String
        public let metric: String
        public let axis: String
        public let seed: UInt64
        public var x: [Double]
        public var y: [Double]

        public init(method: String, metric: String, axis: String, seed: UInt64, x: [Double], y: [Double]) {
            self.method = method
            self.metric = metric
            self.axis = axis
            self.seed = seed
            self.x = x
            self.y = y
        }
    }

    public private(set) var values: [Value] = []
    public private(set) var curves: [Curve] = []

    public init() {}

    /// Records a number. Traps when the same method, metric and seed was recorded before.
    public mutating func record(_ method: String, _ metric: String, seed: UInt64, _ value: Double) {
        precondition(self.value(method, metric, seed: seed) == nil, "\(method)/\(metric) was recorded twice for seed \(seed)")
        values.append(Value(method: method, metric: metric, seed: seed, value: value))
    }

    public mutating func record(curve: Curve) { curves.append(curve) }

    public mutating func merge(_ other: Measurements) {
        for value in other.values { record(value.method, value.metric, seed: value.seed, value.value) }
        curves += other.curves
    }

    public func value(_ method: String, _ metric: String, seed: UInt64) -> Double? {
        values.first { $0.method == method && $0.metric == metric && $0.seed == seed }?.value
    }

    /// The numbers of one seed, as criteria read them.
    public func seed(_ seed: UInt64) -> SeedMeasurements { SeedMeasurements(all: self, seed: seed) }

    /// Methods and metrics in the order in which they were first recorded.
    public var methods: [String] { values.map(\.method).uniqued() }
    public var metrics: [String] { values.map(\.metric).uniqued() }

    /// Mean and sample standard deviation over seeds.
    public func summary(_ method: String, _ metric: String) -> Summary? {
        let found: [Double] = values.filter { $0.method == method && $0.metric == metric }.map(\.value)
        return found.isEmpty ? nil : Summary(found)
    }
}

/// A view of one seed's numbers.
public struct SeedMeasurements: Sendable {
    let all: Measurements
    let seed: UInt64

    /// The number, or NaN where it was not measured: a criterion on it then fails.
    public subscript(_ method: String, _ metric: String) -> Double { all.value(method, metric, seed: seed) ?? .nan }
}

/// Mean, spread and size of a sample.
public struct Summary: Codable, Sendable {
    public let mean: Double
    /// Sample standard deviation; 0 for one value.
    public let standardDeviation: Double
    public let count: Int

    public init(_ values: [Double]) {
        precondition(!values.isEmpty, "a summary of nothing")
        count = values.count
        let mean: Double = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        let squares: Double = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        standardDeviation = count > 1 ? (squares / Double(count - 1)).squareRoot() : 0
    }

    /// The two-sided 90 % Student interval of the mean, lower and upper end; nil for one value.
    public var interval: [Double]? {
        guard count > 1 else { return nil }
        let half: Double = StudentT.quantile95(degrees: count - 1) * standardDeviation / Double(count).squareRoot()
        return [mean - half, mean + half]
    }
}

extension Array where Element: Hashable {
    /// Each element once, in the order of its first appearance.
    func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
