import Efficiency
import Foundation
import NN
import Optim
import Torch
import Training

/// A regression set, standardised by its training part: seven tenths to train on, a tenth to choose by, a fifth to test.
struct RegressionData {
    typealias Part = (x: Tensor, y: Tensor)
    let train: Part
    let validation: Part
    let test: Part

    init(features: [[Double]], target: [Double], seed: UInt64) {
        let x: Tensor = Tensor(features.flatMap { $0 }, [features.count, target.count], dtype: .float32).mT
        let y: Tensor = Tensor(target, [target.count, 1], dtype: .float32)
        let order: Tensor = .randomPermutation(target.count, generator: RandomGenerator(seed: seed))
        let counts: [Int] = [target.count * 7 / 10, target.count / 10]
        let parts: [Tensor] = order.split(sizes: counts + [target.count - counts[0] - counts[1]])
        let (xTrain, yTrain): (Tensor, Tensor) = (x.indexSelect(axis: 0, indices: parts[0]), y.indexSelect(axis: 0, indices: parts[0]))
        func scale(_ values: Tensor, by reference: Tensor) -> Tensor {
            let deviation: Tensor = reference.standardDeviation(axes: [0], keepDims: true).clamped(1e-6, nil)
            return (values - reference.mean(axis: 0, keepDims: true)) / deviation
        }
        func part(_ rows: Tensor) -> Part {
            (
                scale(x.indexSelect(axis: 0, indices: rows), by: xTrain).contiguous(),
                scale(y.indexSelect(axis: 0, indices: rows), by: yTrain).contiguous()
            )
        }
        (train, validation, test) = (part(parts[0]), part(parts[1]), part(parts[2]))
    }

    /// House prices of California's districts: eight numbers and five kinds of place; missing numbers become the column's mean.
    static func californiaHousing(seed: UInt64) throws -> RegressionData {
        let folder: String = try DataDirectory.standard.locate("california_housing")
        let table: CSVTable = try CSVTable(path: "\(folder)/housing.csv")
        var features: [[Double]] = []
        for (name, column) in zip(table.names, table.columns) where name != "median_house_value" {
            switch column {
            case .numeric(let values):
                let known: [Double] = values.filter { !$0.isNaN }
                let mean: Double = known.reduce(0, +) / Double(known.count)
                features.append(values.map { $0.isNaN ? mean : $0 })
            case .categorical(let codes, let levels):
                features += levels.indices.map { level in codes.map { Int($0) == level ? 1 : 0 } }
            case .text: throw DataFormatError(path: table.path, "column '\(name)' is text, expected numbers or categories")
            }
        }
        return RegressionData(features: features, target: try table.numbers("median_house_value"), seed: seed)
    }

    /// Progression of diabetes by ten measurements.
    static func diabetes(seed: UInt64) throws -> RegressionData {
        let folder: String = try DataDirectory.standard.locate("sklearn")
        let format: CSVFormat = CSVFormat(hasHeader: false)
        let inputs: CSVTable = try CSVTable(path: "\(folder)/diabetes_data.csv.gz", format: format)
        let targets: CSVTable = try CSVTable(path: "\(folder)/diabetes_target.csv.gz", format: format)
        guard inputs.rowCount == targets.rowCount else {
            throw DataFormatError(path: targets.path, "has \(targets.rowCount) rows, the inputs beside it \(inputs.rowCount)")
        }
        return RegressionData(
            features: try inputs.names.map { try inputs.numbers($0) }, target: try targets.numbers(targets.names[0]), seed: seed)
    }
}

/// A fully bundled network in closed form beside a perceptron of its width and depth, trained by Adam and stopped at its best epoch.
struct RegressionTrial {
    let data: RegressionData
    let setting: SNNKSetting
    let seed: UInt64

    struct Outcome {
        let error: Double
        let seconds: Double
    }

    private static let ridges: [Double] = [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100]

    func bundled() -> Outcome {
        seedEverything(seed)
        let network: FullyBundledNetwork = FullyBundledNetwork(data.train.x.dim(1), 1, layers: 2, count: setting.regressionWidth)
        let seconds: Double = elapsed {
            network.fit(data.train.x, data.train.y, choosing: Self.ridges, validation: data.validation)
        }
        return Outcome(error: error(data.test) { network($0) }, seconds: seconds)
    }

    func perceptron(context: ExperimentContext) throws -> Outcome {
        seedEverything(seed)
        let width: Int = setting.regressionWidth
        let network: MLP = MLP([data.train.x.dim(1), width, width, 1])
        let optimizer: AdamW = try AdamW(
            parameters: network.parameters(), configuration: AdamWConfiguration(learningRate: 1e-3, weightDecay: 0))
        let rows: Int = data.train.x.dim(0) > 2000 ? 256 : 32
        var best: (error: Double, weights: [Tensor]) = (.infinity, [])
        let seconds: Double = try elapsed {
            for _ in 0..<setting.regressionEpochs {
                try context.checkCancellation()
                for batch in Tensor.randomPermutation(data.train.x.dim(0)).split(size: rows) {
                    let (x, y): (Tensor, Tensor) = (
                        data.train.x.indexSelect(axis: 0, indices: batch), data.train.y.indexSelect(axis: 0, indices: batch)
                    )
                    optimizer.step(valueAndGrad(of: network.parameters()) { meanSquaredError(network(x), y) }.gradients)
                }
                let reached: Double = error(data.validation) { network($0) }
                if reached < best.error { best = (reached, network.parameters().map { $0.detached().cloned() }) }
            }
        }
        noGrad { for (parameter, value) in zip(network.parameters(), best.weights) { parameter.copy_(from: value) } }
        return Outcome(error: error(data.test) { network($0) }, seconds: seconds)
    }

    /// Gradient of the ridge problem at its closed solution, over that at zero.
    func gradientOfSolution() -> Double {
        seedEverything(seed)
        let network: FullyBundledNetwork = FullyBundledNetwork(data.train.x.dim(1), 1, layers: 2, count: setting.regressionWidth)
        return noGrad {
            let z: Tensor = network.features(data.train.x).asType(.float64)
            let y: Tensor = data.train.y.asType(.float64)
            let weight: Tensor = ridgeSolution(z, y, ridge: 1)
            let gradient: Tensor = (z.matmul(weight.mT) - y).mT.matmul(z) + weight
            return (gradient.norm() / y.mT.matmul(z).norm()).item(Double.self)
        }
    }

    private func error(_ part: RegressionData.Part, _ network: (Tensor) -> Tensor) -> Double {
        noGrad { meanSquaredError(network(part.x), part.y).item(Double.self) }
    }

    private func elapsed(_ body: () throws -> Void) rethrows -> Double {
        let start: Date = Date()
        try body()
        return Date().timeIntervalSince(start)
    }
}
