import Efficiency
import Foundation
import Torch

/// How the error of random features falls with their number, for pairs of input and weight in 32 dimensions with norms up to 1.
struct EstimatorTrial {
    let setting: SNNKSetting
    let seed: UInt64
    private let inputs: Tensor
    private let weights: Tensor

    static let dimensions: Int = 32
    private static let pairs: Int = 20

    /// The symmetric split, whose estimates have a finite variance at these norms for every function here.
    static let kinds: [(name: String, kind: RandomFeatureKind)] = [
        ("cosine", .universal(.cosine, split: .symmetric)), ("sine", .universal(.sine, split: .symmetric)),
        ("Gaussian", .universal(.gaussian, split: .symmetric)), ("arc-cosine", .relu),
    ]

    init(_ setting: SNNKSetting, seed: UInt64) {
        self.setting = setting
        self.seed = seed
        seedEverything(seed)
        func vectors() -> Tensor {
            let directions: Tensor = .normal([Self.pairs, Self.dimensions])
            return directions / directions.norm(axes: [1], keepDims: true) * Tensor.uniform([Self.pairs, 1])
        }
        (inputs, weights) = (vectors(), vectors())
    }

    /// Mean absolute error over pairs and draws, for each number of features.
    func errors(_ kind: RandomFeatureKind, orthogonal: Bool) -> [Double] {
        let wanted: Tensor = exact(kind)
        return setting.counts.map { count in
            let draws: [Double] = (0..<setting.draws).map { _ in
                let map: any RandomFeatureMap = kind.make(Self.dimensions, count: count, orthogonal: orthogonal)
                let found: Tensor = (map.features(inputs) * map.parameterFeatures(weights, bias: nil)).sum(axis: -1)
                return (found - wanted).abs().mean().item(Double.self)
            }
            return draws.reduce(0, +) / Double(draws.count)
        }
    }

    private func exact(_ kind: RandomFeatureKind) -> Tensor {
        if case .universal(let function, _, _) = kind { return function((inputs * weights).sum(axis: -1)) }
        // The constant channel of the input meets a bias of 0.
        let (one, zero): (Tensor, Tensor) = (.ones([Self.pairs, 1]), .zeros([Self.pairs, 1]))
        return arcCosineKernel(concatenated([inputs, one], axis: 1), concatenated([weights, zero], axis: 1))
    }

    /// Slope of the least-squares line through logarithms.
    func slope(_ errors: [Double]) -> Double {
        let points: [(x: Double, y: Double)] = zip(setting.counts, errors).map { (log(Double($0)), log($1)) }
        let (x, y): (Double, Double) = (
            points.map(\.x).reduce(0, +) / Double(points.count), points.map(\.y).reduce(0, +) / Double(points.count)
        )
        let products: Double = points.reduce(0) { $0 + ($1.x - x) * ($1.y - y) }
        return products / points.reduce(0) { $0 + ($1.x - x) * ($1.x - x) }
    }
}
