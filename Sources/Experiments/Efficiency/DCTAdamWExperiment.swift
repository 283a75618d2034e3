import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// Low-rank optimizers on a small language model: columns of a cosine transform beside singular vectors (arXiv 2505.17967).
public struct DCTAdamWExperiment: Experiment {
    public static let slug: String = "dct-adamw"
    public static let summary: String =
        "A small transformer on characters, trained by AdamW, GaLore with singular vectors and DCT-AdamW (with and without error feedback, random and lowest columns) at one rank and rate; projection errors, state and selection times."

    static let loss: String = "validation loss (nats per character)"
    static let state: String = "bytes of optimizer state"
    static let projectorBytes: String = "bytes of the projections"
    static let projectionError: String = "relative projection error"
    static let selectionTime: String = "selection time over thin SVD"
    static let side: String = "shorter side of the projected matrices"
    static let adam: String = "AdamW"
    static let galore: String = "GaLore (SVD)"
    static let dynamic: String = "DCT-AdamW"
    static let feedback: String = "DCT-AdamW, error feedback"
    static let random: String = "random columns"
    static let first: String = "first columns"
    static let orthogonal: String = "random orthogonal"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("no projection of that rank leaves a smaller error than the singular vectors'") {
                $0[galore, projectionError] <= $0[dynamic, projectionError] + 1e-6
            },
            Gate("DCT-AdamW keeps 4 r bytes of a projection, GaLore 4 n r") {
                $0[dynamic, projectorBytes] > 0 && $0[galore, projectorBytes] == $0[dynamic, projectorBytes] * $0[galore, side]
            },
            Gate("both low-rank optimizers keep less state than AdamW") {
                $0[dynamic, state] < $0[adam, state] && $0[galore, state] < $0[adam, state]
            },
        ],
        claims: [
            Claim("SVD GaLore's loss minus DCT-AdamW's", atLeast: -0.03) { $0[galore, loss] - $0[dynamic, loss] },
            Claim("loss with random columns minus DCT-AdamW's", atLeast: 0) { $0[random, loss] - $0[dynamic, loss] },
            Claim("projection error of random columns minus that of chosen ones", atLeast: 0) {
                $0[random, projectionError] - $0[dynamic, projectionError]
            },
            Claim("choosing columns takes at most 0.3 of a thin SVD's time (0.3 minus the ratio)", atLeast: 0) {
                0.3 - $0[dynamic, selectionTime]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: Setting = Setting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.model.context, limit: setting.validationLimit)
        for seed in context.seeds {
            var trained: PlainTransformer?
            for (name, optimizer) in try setting.arms() {
                let model: PlainTransformer = try train(name, optimizer, setting, corpus, seed, context, &measurements)
                if name == Self.adam { trained = model }
            }
            if let trained { try recordErrors(trained, setting, corpus, seed, &measurements) }
            measurements.record(Self.dynamic, Self.selectionTime, seed: seed, Self.selectionRatio(width: setting.timingWidth))
        }
        return measurements
    }

    private func train(
        _ name: String, _ optimizer: OptimizerConfiguration, _ setting: Setting, _ corpus: CharacterCorpus, _ seed: UInt64,
        _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws -> PlainTransformer {
        let recipe: SmallLanguageModel = setting.model
        let training: TrialTraining = TrialTraining(
            steps: recipe.steps, learningRate: recipe.learningRate, seed: seed, warmUp: recipe.warmUp, optimizer: optimizer)
        let result: (model: PlainTransformer, curve: Measurements.Curve) = try training.train(
            name, on: recipe.windows(corpus.training, seed: seed), context: context
        ) { PlainTransformer(try recipe.configuration(vocabularySize: corpus.vocabularySize)) }
        measurements.record(curve: result.curve)
        measurements.record(name, Self.loss, seed: seed, result.model.score(recipe.windows(corpus.validation, seed: seed)).loss)
        try recordState(name, optimizer, of: result.model, seed, &measurements)
        return result.model
    }

    /// The bytes after one step on the model.
    private func recordState(
        _ name: String, _ optimizer: OptimizerConfiguration, of model: PlainTransformer, _ seed: UInt64, _ measurements: inout Measurements
    ) throws {
        let copies: [(name: String, tensor: Tensor)] = model.namedParameters().map { ($0.name, $0.tensor.detached().cloned()) }
        let fresh: any Optimizer = try optimizer.makeOptimizer(groups: .decayingMatricesOnly(copies))
        fresh.step(fresh.parameters.map { $0.onesLike() })
        measurements.record(name, Self.state, seed: seed, Double(fresh.stateByteCount))
        let projections: [Tensor] = fresh.stateTensors().filter { $0.key.hasSuffix("_projector") || $0.key.hasSuffix(".columns") }.map(
            \.value)
        measurements.record(name, Self.projectorBytes, seed: seed, Double(projections.reduce(0) { $0 + $1.byteCount }))
        // Every projected matrix has the model's width as its shorter side.
        if name == Self.galore { measurements.record(name, Self.side, seed: seed, Double(model.configuration.dimensions)) }
    }

    /// Mean `‖G - G B Bᵀ‖ / ‖G‖` over the blocks' matrices, of one batch's gradients at the trained model.
    private func recordErrors(
        _ model: PlainTransformer, _ setting: Setting, _ corpus: CharacterCorpus, _ seed: UInt64, _ measurements: inout Measurements
    ) throws {
        let windows: TextWindows = setting.model.windows(corpus.training, seed: seed)
        let named: [(name: String, tensor: Tensor)] = model.namedParameters()
        let gradients: [Tensor] = valueAndGrad(of: model) { model.loss(windows.batch(setting.model.steps)) }.gradients
        let matrices: [Tensor] = zip(named, gradients).filter { $0.0.name.hasPrefix("blocks.") && $0.1.ndim == 2 }.map { pair in
            pair.1.dim(0) < pair.1.dim(1) ? pair.1.transposed() : pair.1
        }
        let projections: [(String, any LowRankProjector)] = [
            (Self.galore, .svd), (Self.dynamic, .dct), (Self.orthogonal, .randomOrthogonal), ("block power", .blockPower),
        ]
        for (name, projector) in projections {
            let errors: [Double] = matrices.map { matrix in
                let stored: Tensor = projector.basis(for: matrix, rank: setting.rank, previous: nil, seed: seed)
                return Self.error(of: projector.columns(stored, of: matrix.dim(1), like: matrix), on: matrix)
            }
            measurements.record(name, Self.projectionError, seed: seed, errors.reduce(0, +) / Double(errors.count))
        }
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: model.device)
        let fixed: [(String, (Int) -> Tensor)] = [
            (Self.random, { .randomPermutation($0, device: model.device, generator: generator) }),
            (Self.first, { .arange($0, device: model.device) }),
        ]
        for (name, order) in fixed {
            let errors: [Double] = matrices.map { matrix in
                let chosen: Tensor = order(matrix.dim(1)).narrowed(axis: 0, start: 0, length: setting.rank).asType(.int32)
                return Self.error(of: DCTProjector().columns(chosen, of: matrix.dim(1), like: matrix), on: matrix)
            }
            measurements.record(name, Self.projectionError, seed: seed, errors.reduce(0, +) / Double(errors.count))
        }
    }

    private static func error(of columns: Tensor, on matrix: Tensor) -> Double {
        let rest: Tensor = matrix - matrix.matmul(columns).matmul(columns.transposed())
        return (rest.norm() / (matrix.norm() + 1e-30)).item(Double.self)
    }

    /// The faster way of choosing columns of a square matrix by the thin SVD's time, the best of three each.
    private static func selectionRatio(width: Int) -> Double {
        let matrix: Tensor = .normal([width, width], device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
        func seconds(_ projector: any LowRankProjector) -> Double {
            (0..<3).map { _ in
                let start: ContinuousClock.Instant = .now
                _ = projector.basis(for: matrix, rank: max(1, width / 8), previous: nil, seed: 0).asType(.float64).sum().item(Double.self)
                return (ContinuousClock.now - start) / .seconds(1)
            }.min() ?? .nan
        }
        _ = dct2(matrix)
        let best: Double = DCTMethod.allCases.map { seconds(DCTProjector(method: $0)) }.min() ?? .nan
        return best / seconds(SVDProjector())
    }

    /// The sizes at a scale.
    private struct Setting {
        var model: SmallLanguageModel
        var rank: Int
        var validationLimit: Int?
        var timingWidth: Int = 1024
        /// Steps between two choices of directions where they are not chosen at every step.
        let gap: Int = 20

        init(_ scale: Scale) {
            model = SmallLanguageModel(scale)
            switch scale {
            case .smoke: (rank, validationLimit, timingWidth) = (4, 1000, 64)
            case .small:
                (model.dimensions, model.layers, model.steps) = (64, 4, 1000)
                (rank, validationLimit) = (16, 40_000)
            case .full:
                (model.dimensions, model.layers) = (512, 8)
                (rank, validationLimit) = (128, nil)
            }
        }

        /// One rate for all; GaLore's factor on its updates is 1, so that its steps are as large as the others'.
        func arms() throws -> [(String, OptimizerConfiguration)] {
            let rate: Double = model.learningRate
            func galore(_ projector: ProjectorKind) throws -> OptimizerConfiguration {
                .galore(
                    try GaLoreConfiguration(
                        learningRate: rate, weightDecay: 0.01, rank: rank, updateGap: gap, scale: 1, projector: projector))
            }
            func dct(
                _ columns: DCTAdamWConfiguration.Columns = .largest, gap: Int = 1, feedback: DCTAdamWConfiguration.ErrorFeedback = .none
            ) throws -> OptimizerConfiguration {
                .dctAdamW(
                    try DCTAdamWConfiguration(
                        learningRate: rate, weightDecay: 0.01, rank: rank, updateGap: gap, errorFeedback: feedback, columns: columns))
            }
            return [
                (DCTAdamWExperiment.adam, .adamw(try AdamWConfiguration(learningRate: rate))),
                (DCTAdamWExperiment.galore, try galore(.svd)),
                (DCTAdamWExperiment.dynamic, try dct()),
                (DCTAdamWExperiment.feedback, try dct(feedback: .full)),
                (DCTAdamWExperiment.random, try dct(.random, gap: gap)),
                (DCTAdamWExperiment.first, try dct(.first)),
                (DCTAdamWExperiment.orthogonal, try galore(.randomOrthogonal)),
            ]
        }
    }
}
