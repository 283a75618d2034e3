import Efficiency
import NN
import Torch
import Training

/// Random features in the place of layers: their error, networks in closed form, bundled layers, adapters (arXiv 2310.13225).
public struct SNNKExperiment: Experiment {
    public static let slug: String = "snnk"
    public static let summary: String =
        "Errors of the estimators by their number of features; fully bundled networks in closed form beside perceptrons on California housing and diabetes; a perceptron on MNIST with its hidden layers bundled; SNNK adapters beside Houlsby's on an encoder of questions adapted to SST-2."

    private static let slope: String = "slope of log error by log features"
    private static let orthogonal: String = "error of orthogonal over independent features"
    private static let error: String = "test error (MSE of the standardised target)"
    private static let seconds: String = "time to fit (s)"
    private static let gradient: String = "gradient of the closed solution (relative)"
    private static let accuracy: String = "test accuracy"
    private static let parameters: String = "trained parameters of what is compared"
    private static let change: String = "change by untrained adapters"
    private static let difference: String = "bundle of one layer against its SNNK layer"

    private static let estimators: [String] = EstimatorTrial.kinds.map { "\($0.name) features" }
    private static let sets: [String] = ["California housing", "diabetes"]

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("a bundle of one layer is its SNNK layer, bit for bit") { $0["bundled hidden layers", difference] == 0 },
            Gate("the closed solution's gradient is below 1e-8 of that at zero") { seed in
                sets.allSatisfy { seed["bundled, \($0)", gradient] <= 1e-8 }
            },
            Gate("an SNNK adapter changes nothing before it is trained") { $0["SNNK adapters", change] == 0 },
            Gate("bundled hidden layers have at most a quarter of the dense ones' parameters") {
                4 * $0["bundled hidden layers", parameters] <= $0["dense", parameters]
            },
            Gate("SNNK adapters have at most a third of the parameters of Houlsby's") {
                3 * $0["SNNK adapters", parameters] <= $0["Houlsby adapters", parameters]
            },
        ],
        claims: [
            Claim("errors fall with the root of the features (0.1 minus the largest distance of a slope from -0.5)", atLeast: 0) { seed in
                0.1 - (estimators.map { abs(seed[$0, slope] + 0.5) }.max() ?? .nan)
            },
            Claim("orthogonal features err at most 1.02 times as much (1.02 minus the largest ratio)", atLeast: 0) { seed in
                1.02 - (estimators.map { seed[$0, orthogonal] }.max() ?? .nan)
            },
            Claim("California housing: error at most 1.05 times the perceptron's (1.05 minus the ratio)", atLeast: 0) {
                1.05 - $0["bundled, California housing", error] / $0["perceptron, California housing", error]
            },
            Claim("diabetes: error at most 1.05 times the perceptron's (1.05 minus the ratio)", atLeast: 0) {
                1.05 - $0["bundled, diabetes", error] / $0["perceptron, diabetes", error]
            },
            Claim("California housing: the perceptron takes longer to fit (factor)", atLeast: 5) {
                $0["perceptron, California housing", seconds] / $0["bundled, California housing", seconds]
            },
            Claim("diabetes: the perceptron takes longer to fit (factor)", atLeast: 5) {
                $0["perceptron, diabetes", seconds] / $0["bundled, diabetes", seconds]
            },
            Claim("MNIST: accuracy with bundled hidden layers minus the dense network's", atLeast: -0.01) {
                $0["bundled hidden layers", accuracy] - $0["dense", accuracy]
            },
            Claim("SST-2: accuracy with SNNK adapters minus that with Houlsby's", atLeast: -0.015) {
                $0["SNNK adapters", accuracy] - $0["Houlsby adapters", accuracy]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: SNNKSetting = SNNKSetting(scale)
        for seed in context.seeds {
            try estimate(EstimatorTrial(setting, seed: seed), context, &measurements)
            try regress(setting, seed, context, &measurements)
            try classify(DigitTrial(setting, seed: seed), context, &measurements)
            try adapt(AdapterTrial(setting, seed: seed), context, &measurements)
        }
        return measurements
    }

    // MARK: Estimators

    private func estimate(_ trial: EstimatorTrial, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        context.progress("estimators, seed \(trial.seed)")
        for (name, kind) in EstimatorTrial.kinds {
            try context.checkCancellation()
            let independent: [Double] = trial.errors(kind, orthogonal: false)
            let orthogonal: [Double] = trial.errors(kind, orthogonal: true)
            let label: String = "\(name) features"
            measurements.record(label, Self.slope, seed: trial.seed, trial.slope(independent))
            let ratios: [Double] = zip(orthogonal, independent).map { $0 / $1 }
            measurements.record(label, Self.orthogonal, seed: trial.seed, ratios.reduce(0, +) / Double(ratios.count))
            for (method, errors) in [(label, independent), ("\(label), orthogonal", orthogonal)] {
                measurements.record(
                    curve: Measurements.Curve(
                        method: method, metric: "mean absolute error", axis: "features", seed: trial.seed,
                        x: trial.setting.counts.map { Double($0) }, y: errors))
            }
        }
    }

    // MARK: Regression

    private func regress(
        _ setting: SNNKSetting, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        let sets: [RegressionData] = [try .californiaHousing(seed: seed), try .diabetes(seed: seed)]
        for (name, data) in zip(Self.sets, sets) {
            context.progress("\(name), seed \(seed)")
            let trial: RegressionTrial = RegressionTrial(data: data, setting: setting, seed: seed)
            let outcomes: [(String, RegressionTrial.Outcome)] = [
                ("bundled", trial.bundled()), ("perceptron", try trial.perceptron(context: context)),
            ]
            for (method, outcome) in outcomes {
                measurements.record("\(method), \(name)", Self.error, seed: seed, outcome.error)
                measurements.record("\(method), \(name)", Self.seconds, seed: seed, outcome.seconds)
            }
            measurements.record("bundled, \(name)", Self.gradient, seed: seed, trial.gradientOfSolution())
        }
    }

    // MARK: Digits

    private func classify(_ trial: DigitTrial, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        func record(_ outcome: DigitTrial.Outcome) {
            let name: String = outcome.curve.method
            measurements.record(curve: outcome.curve)
            measurements.record(name, Self.accuracy, seed: trial.seed, outcome.accuracy)
            measurements.record(name, Self.parameters, seed: trial.seed, Double(outcome.parameters))
        }
        let dense: DigitTrial.Outcome = try trial.dense("dense", context: context)
        let narrow: DigitTrial.Outcome = try trial.narrow("dense, narrow", context: context)
        let count: Int = trial.setting.digitCount
        let bundled: DigitTrial.Outcome = try trial.bundledHidden("bundled hidden layers", count: count, context: context)
        let others: [DigitTrial.Outcome] = try trial.setting.otherDigitCounts.map {
            try trial.bundledHidden("bundled hidden layers, \($0) features", count: $0, context: context)
        }
        // Reported without a criterion: the other two layers that can be bundled.
        let tail: DigitTrial.Outcome = try trial.bundledTail("bundled last two layers", context: context)
        for outcome in [dense, narrow, bundled] + others + [tail] { record(outcome) }
        measurements.record("bundled hidden layers", Self.difference, seed: trial.seed, differenceOfOneLayer(trial.seed))
        let bundles: [DigitTrial.Outcome] = ([bundled] + others).sorted { $0.parameters < $1.parameters }
        for (method, points) in [("dense", [narrow, dense]), ("bundled hidden layers", bundles)] {
            measurements.record(
                curve: Measurements.Curve(
                    method: method, metric: Self.accuracy, axis: Self.parameters, seed: trial.seed,
                    x: points.map { Double($0.parameters) }, y: points.map(\.accuracy)))
        }
    }

    /// Largest difference between an SNNK layer and the bundle of the layer that it was made from.
    private func differenceOfOneLayer(_ seed: UInt64) -> Double {
        seedEverything(seed)
        let layer: Linear = Linear(20, 12)
        let maps: [any RandomFeatureMap] = Bundling.maps(20, layers: 1, count: 32)
        let kernel: SNNKLinear = SNNKLinear(maps[0], weight: layer.weight, bias: layer.bias)
        let x: Tensor = .normal([16, 20])
        return noGrad { (kernel(x) - Bundling.bundle([layer], maps: maps)(x)).abs().max().item() }
    }

    // MARK: Adapters

    private func adapt(_ trial: AdapterTrial, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let (encoder, curve) = try trial.encoder(context: context)
        measurements.record(curve: curve)
        let (count, width): (Int, Int) = (trial.setting.adapterCount, trial.setting.adapterWidth)
        let kinds: [(String, ((Int) -> any UnaryLayer)?)] = [
            ("SNNK adapters", { SNNKAdapter($0, count: count) }), ("Houlsby adapters", { HoulsbyAdapter($0, width: width) }),
            ("head alone", nil),
        ]
        for (name, adapter) in kinds {
            let outcome: AdapterTrial.Outcome = try trial.adapted(encoder, name, context: context, adapter: adapter)
            measurements.record(curve: outcome.curve)
            measurements.record(name, Self.accuracy, seed: trial.seed, outcome.accuracy)
            measurements.record(name, Self.parameters, seed: trial.seed, Double(outcome.parameters))
            measurements.record(name, Self.change, seed: trial.seed, outcome.firstChange)
        }
    }
}
