import Efficiency
import Foundation
import NN
import Torch
import Training

/// Low rank found in training by ordered dropout on factors and a hierarchical group lasso (arXiv 2308.14929).
public struct MaestroExperiment: Experiment {
    public static let slug: String = "maestro"
    public static let summary: String =
        "Ordered factors beside the singular value decomposition of a map and the principal components of points; LeNet on MNIST as dense, ordered and unordered factors, cut in rank after training."

    private static let isotropic: String = "linear map"
    private static let anisotropic: String = "linear map, inputs of unequal spread"
    private static let points: String = "three points"
    private static let digits: String = "optical digits"
    private static let dense: String = "dense LeNet"
    private static let unordered: String = "factors without ordered dropout"
    /// Weights of the lasso, by method.
    private static let ordered: [(name: String, lassoWeight: Double)] = [
        ("Maestro, λ = 2⁻¹⁴", 0x1p-14), ("Maestro, λ = 2⁻¹⁰", 0x1p-10), ("Maestro, λ = 2⁻⁹", 0x1p-9),
    ]

    private static let error: String = "error against the best map of each rank (worst)"
    private static let firstNorms: String = "norms of components 1, 2 against singular values (relative)"
    private static let thirdNorm: String = "norm of component 3 against its singular value (relative)"
    private static let otherNorms: String = "norms of components 4 to 6 over the first singular value"
    private static let survivors: String = "surviving components"
    private static let cosine: String = "smallest cosine with the principal components"
    private static let accuracy: String = "accuracy (%)"
    private static let macs: String = "multiply-accumulates without the last layer"
    private static let third: String = "accuracy at a third of the dense cost (%)"
    private static let thirdMacs: String = "multiply-accumulates at a third, without the last layer"
    private static let milliseconds: String = "milliseconds for 250 digits"
    private static let thirdMilliseconds: String = "milliseconds for 250 digits at a third"
    private static let quarter: String = "accuracy with 25 % of the surviving ranks (%)"
    private static let pruning: String = "pruned against masked (largest difference)"
    private static let start: String = "decomposed against dense before training (largest difference)"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("a new decomposition computes what the dense network does to 1e-4") { $0[unordered, start] <= 1e-4 },
            Gate("pruned and masked networks agree to 1e-4") { seed in ordered.allSatisfy { seed[$0.name, pruning] <= 1e-4 } },
            Gate("extracted networks keep the budget") { seed in
                ordered.allSatisfy { seed[$0.name, thirdMacs] <= seed[dense, macs] / 3 }
            },
        ],
        claims: [
            Claim("ordered factors are the best map of each rank to 1e-3 (1e-3 minus the worst error)", atLeast: 0) {
                1e-3 - $0[isotropic, error]
            },
            Claim("components 1 and 2 have the singular values' size to 1 % (0.01 minus the worst)", atLeast: 0) {
                0.01 - $0[isotropic, firstNorms]
            },
            Claim("component 3 to 8 % (0.08 minus it)", atLeast: 0) { 0.08 - $0[isotropic, thirdNorm] },
            Claim("the others vanish (0.02 minus the largest over the first singular value)", atLeast: 0) {
                0.02 - $0[isotropic, otherNorms]
            },
            Claim("of three points exactly three components survive (minus the distance to 3)", atLeast: 0) {
                -abs($0[points, survivors] - 3)
            },
            Claim("the first components span the principal ones of the digits: smallest cosine", atLeast: 0.99) { $0[digits, cosine] },
            Claim("at most a third of the multiply-accumulates within a point of the dense network (1 minus the best λ's loss)", atLeast: 0)
            { seed in
                1 - seed[dense, accuracy] + ordered.map { seed[$0.name, third] }.reduce(-.infinity, Double.maximum)
            },
            Claim("25 % of the surviving ranks cost Maestro at most 3 points (3 minus the cost, smallest λ)", atLeast: 0) { seed in
                3 - seed[ordered[0].name, accuracy] + seed[ordered[0].name, quarter]
            },
            Claim("and factors without ordered dropout at least 15", atLeast: 15) {
                $0[unordered, accuracy] - $0[unordered, quarter]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try context.checkCancellation()
            context.progress("linear maps, seed \(seed)")
            try maps(MaestroMaps(seed: seed, scale: scale), &measurements)
            let images: MaestroImages = try MaestroImages(scale, seed: seed, context: context)
            try networks(images, &measurements)
        }
        return measurements
    }

    // MARK: Linear maps

    private func maps(_ maps: MaestroMaps, _ measurements: inout Measurements) throws {
        record(try maps.decomposition(), Self.isotropic, maps.seed, &measurements)
        record(try maps.decomposition(spread: .linspace(0.5, 1.5, count: 9)), Self.anisotropic, maps.seed, &measurements)
        measurements.record(Self.points, Self.survivors, seed: maps.seed, Double(try maps.survivors()))
        let cosines: [Int: Double] = try maps.principalAngles(of: try Self.opticalDigits(), at: [1, 2, 5]).cosines
        measurements.record(Self.digits, Self.cosine, seed: maps.seed, cosines.values.min() ?? .nan)
        let sizes: [Int] = cosines.keys.sorted()
        measurements.record(
            curve: Measurements.Curve(
                method: Self.digits, metric: Self.cosine, axis: "components", seed: maps.seed, x: sizes.map { Double($0) },
                y: sizes.compactMap { cosines[$0] }))
    }

    private func record(_ found: MaestroMaps.Decomposition, _ name: String, _ seed: UInt64, _ measurements: inout Measurements) {
        let relative: [Double] = zip(found.norms, found.singularValues).map { abs($0 - $1) / $1 }
        measurements.record(name, Self.error, seed: seed, found.worstError)
        measurements.record(name, Self.firstNorms, seed: seed, max(relative[0], relative[1]))
        measurements.record(name, Self.thirdNorm, seed: seed, relative[2])
        measurements.record(name, Self.otherNorms, seed: seed, (found.norms[3...].max() ?? 0) / found.singularValues[0])
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "‖u‖ ‖v‖", axis: "component", seed: seed, x: (1...6).map { Double($0) }, y: found.norms))
    }

    /// The 1,797 optical digits, `[N, 64]` in 0 … 1.
    private static func opticalDigits() throws -> Tensor {
        let path: String = try DataDirectory.standard.locate("sklearn", file: "optdigits.tes")
        let table: CSVTable = try CSVTable(path: path, format: CSVFormat(hasHeader: false))
        let columns: [[Double]] = try table.names.prefix(64).map { try table.numbers($0) }
        return Tensor(columns.flatMap { $0.map { Float($0 / 16) } }, [64, table.rowCount]).mT
    }

    // MARK: Networks

    private func networks(_ images: MaestroImages, _ measurements: inout Measurements) throws {
        let seed: UInt64 = images.seed
        let dense: Sequential = MaestroImages.leNet(seed: seed)
        measurements.record(curve: try images.train(dense, Self.dense))
        measurements.record(Self.dense, Self.accuracy, seed: seed, images.accuracy(dense))
        measurements.record(Self.dense, Self.milliseconds, seed: seed, images.milliseconds(dense))

        let unordered: Sequential = images.factorised()
        measurements.record(Self.unordered, Self.start, seed: seed, images.difference(unordered, MaestroImages.leNet(seed: seed)))
        // At full rank a layer costs what the dense one does, since it would be multiplied out.
        let cost: Int = Maestro.multiplyAccumulates(unordered)
        measurements.record(Self.dense, Self.macs, seed: seed, Double(cost))
        measurements.record(curve: try images.train(unordered, Self.unordered))
        record(unordered, Self.unordered, images, &measurements)

        for (name, lassoWeight) in Self.ordered {
            let model: Sequential = images.factorised()
            measurements.record(curve: try images.trainOrdered(model, name, lassoWeight: lassoWeight))
            record(model, name, images, &measurements)
            measurements.record(name, Self.pruning, seed: seed, images.differenceOfPruning(model))
            let small: Sequential = images.extracted(model, macBudget: cost / 3)
            measurements.record(name, Self.third, seed: seed, images.accuracy(small))
            measurements.record(name, Self.thirdMilliseconds, seed: seed, images.milliseconds(small))
            let ranks: [String: Int] = Maestro.ranks(model, macBudget: cost / 3)
            measurements.record(name, Self.thirdMacs, seed: seed, Double(Maestro.multiplyAccumulates(model, ranks: ranks)))
            record(tradeOffOf: model, name, images, &measurements)
        }
    }

    private func record(_ model: Sequential, _ name: String, _ images: MaestroImages, _ measurements: inout Measurements) {
        let seed: UInt64 = images.seed
        measurements.record(name, Self.accuracy, seed: seed, images.accuracy(model))
        measurements.record(name, Self.macs, seed: seed, Double(Maestro.multiplyAccumulates(model)))
        measurements.record(
            name, Self.quarter, seed: seed, images.accuracy(model, width: OrderedWidth(share: 0.25, of: model)))
        let shares: [Double] = [0.125, 0.25, 0.375, 0.5, 0.75, 1]
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: Self.accuracy, axis: "share of the surviving ranks", seed: seed, x: shares,
                y: shares.map { images.accuracy(model, width: OrderedWidth(share: $0, of: model)) }))
    }

    /// Accuracy of the networks that one training run gives at smaller and smaller budgets.
    private func record(
        tradeOffOf model: Sequential, _ name: String, _ images: MaestroImages, _ measurements: inout Measurements
    ) {
        let most: Int = Maestro.multiplyAccumulates(model)
        let budgets: [Int] = (1...8).map { most * $0 / 8 }
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "accuracy without further training (%)", axis: Self.macs, seed: images.seed,
                x: budgets.map { Double($0) }, y: budgets.map { images.accuracy(images.extracted(model, macBudget: $0)) }))
    }
}
