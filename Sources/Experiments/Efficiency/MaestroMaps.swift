import Efficiency
import Foundation
import NN
import Optim
import Torch
import Training

/// Linear maps whose decomposition is known, learned by ordered dropout: parts A and B of the Maestro experiment.
struct MaestroMaps {
    let seed: UInt64
    let scale: Scale
    private let generator: RandomGenerator

    init(seed: UInt64, scale: Scale) {
        self.seed = seed
        self.scale = scale
        generator = RandomGenerator(seed: seed)
    }

    // MARK: The singular value decomposition of a map

    struct Decomposition {
        /// Largest over b of `‖(U_b V_bᵀ - C_b) √Σ‖² / ‖C √Σ‖²`, C_b the best approximation of rank b under the inputs' covariance Σ.
        let worstError: Double
        /// `‖u_b‖ ‖v_b‖` of each component under the covariance.
        let norms: [Double]
        let singularValues: [Double]
    }

    /// A map of rank 3 from 9 to 6 dimensions, learned from inputs whose covariance is `spread²`.
    /// - Parameter spread: `[9]`, deviations of the inputs; nil is 1 for all.
    func decomposition(spread: Tensor? = nil) throws -> Decomposition {
        let map: Tensor = Tensor.normal([6, 3], generator: generator).matmul(.normal([3, 9], generator: generator))
        let inputs: Tensor = (spread ?? .ones([9])).diagonalEmbedded()
        let layer: MaestroLinear = MaestroLinear(9, 6, bias: false, generator: generator)
        let targets: Tensor = inputs.matmul(map.mT)
        let optimizer: SGD = try SGD(parameters: layer.trainableParameters(), configuration: SGDConfiguration(learningRate: 0.5))
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: layer, seed: seed)
        for _ in 0..<(scale == .smoke ? 30 : 3000) {
            let width: OrderedWidth = sampler.next()
            optimizer.step(valueAndGrad(of: layer) { meanSquaredError(layer(inputs, width: width), targets) }.gradients)
        }
        return noGrad { compare(layer, with: map.matmul(inputs), inputs) }
    }

    private func compare(_ layer: MaestroLinear, with map: Tensor, _ root: Tensor) -> Decomposition {
        let (u, s, vh): (Tensor, Tensor, Tensor) = map.svd()
        let whole: Double = map.square().sum().item()
        let right: Tensor = layer.right.matmul(root)
        let errors: [Double] = (1...6).map { b in
            let best: Tensor = (u[0..., 0..<b] * s[0..<b]).matmul(vh[0..<b])
            let learned: Tensor = layer.left[0..., 0..<b].matmul(right[0..<b])
            return (learned - best).square().sum().item(Double.self) / whole
        }
        return Decomposition(
            worstError: errors.max() ?? .nan, norms: (layer.left.norm(axes: [0]) * right.norm(axes: [1])).asType(.float64).array(),
            singularValues: s.asType(.float64).array())
    }

    // MARK: Principal components

    /// Components that survive of a linear autoencoder of three points in ten dimensions, trained with the lasso.
    func survivors() throws -> Int {
        let points: Tensor = .normal([3, 10], generator: generator)
        let layer: MaestroLinear = MaestroLinear(10, 10, bias: false, generator: generator)
        let optimizer: SGD = try SGD(parameters: layer.trainableParameters(), configuration: SGDConfiguration(learningRate: 0.1))
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: layer, seed: seed)
        for _ in 0..<(scale == .smoke ? 30 : 2500) {
            let width: OrderedWidth = sampler.next()
            optimizer.step(
                valueAndGrad(of: layer) {
                    meanSquaredError(layer(points), points) + meanSquaredError(layer(points, width: width), points)
                        + Maestro.hierarchicalGroupLasso(layer) * 1e-2
                }.gradients)
        }
        return Maestro.shrink(layer)[""] ?? 0
    }

    struct PrincipalAngles {
        /// Smallest cosine between the span of the first b components and that of the first b principal components, by b; without those b at
        /// which the next eigenvalue is less than 10 % smaller.
        let cosines: [Int: Double]
    }

    /// A linear autoencoder of centred points, compared with their principal components.
    ///
    /// The mean squared error over all points depends on their covariance alone, so its root stands for them: as many points as dimensions, and the very
    /// same gradients.
    /// - Parameters:
    ///   - points: `[N, D]`.
    ///   - sizes: numbers of components b that are compared.
    func principalAngles(of points: Tensor, at sizes: [Int]) throws -> PrincipalAngles {
        let centred: Tensor = points - points.mean(axis: 0)
        let (_, s, vh): (Tensor, Tensor, Tensor) = centred.svd()
        let values: [Double] = s.square().asType(.float64).array()
        let root: Tensor = (s / s[0]).expandedDimensions(axis: 1) * vh
        let layer: MaestroLinear = MaestroLinear(points.dim(1), points.dim(1), bias: false, generator: generator)
        let steps: Int = scale == .smoke ? 30 : 6000
        let optimizer: Adam = try Adam(parameters: layer.trainableParameters(), configuration: AdamConfiguration(learningRate: 5e-3))
        let schedule: Schedule = .warmUpCosine(warmUp: 0, finalFraction: 0.01)
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: layer, seed: seed)
        for step in 0..<steps {
            let width: OrderedWidth = sampler.next()
            let (_, found): (Tensor, [Tensor]) = valueAndGrad(of: layer) {
                meanSquaredError(layer(root), root, reduction: .sum) + meanSquaredError(layer(root, width: width), root, reduction: .sum)
            }
            optimizer.step(found, learningRateFactor: schedule.factor(step: step, of: steps))
        }
        let compared: [Int] = sizes.filter { values[$0 - 1] >= 1.1 * values[$0] }
        return PrincipalAngles(
            cosines: noGrad {
                Dictionary(
                    uniqueKeysWithValues: compared.map { b in
                        let learned: Tensor = layer.left[0..., 0..<b].qr().q
                        return (b, learned.mT.matmul(vh[0..<b].mT).singularValues().min().item(Double.self))
                    })
            })
    }
}
