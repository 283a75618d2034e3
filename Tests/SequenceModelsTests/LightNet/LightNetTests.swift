import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct LightNetTests {
    private func double<Layer: Module>(_ layer: Layer) -> Layer {
        layer.to(dtype: .float64, device: .cpu)
        return layer
    }

    private let shuffle: [Int] = [5, 0, 11, 3, 8, 1, 10, 2, 7, 4, 9, 6]

    @Test(arguments: LightNetPosition.allCases) func withoutPositionsTheOrderIsInvisible(position: LightNetPosition) {
        let layer: LightNetAttention = double(
            LightNetAttention(
                .init(dimensions: 12, heads: 2, causal: false, gridShape: position == .rotary ? nil : [3, 4], position: position)))
        noGrad { layer.keyProjection.denseWeight().multiply_(20) }
        let x: Tensor = normal([2, 12, 12])
        let difference: Double = relativeError(layer(x[0..., shuffle]), layer(x)[0..., shuffle])
        #expect(position == .none ? difference < 1e-12 : difference > 1e-3, "\(position): \(difference)")
    }

    @Test(arguments: [[3, 4], [2, 3, 2]]) func scoresDependOnDistancesAlone(shape: [Int]) {
        let lrpe: MultiDimLRPE = double(MultiDimLRPE(heads: 2, dimensions: 7, shape: shape))
        let size: Int = shape.reduce(1, *)
        let (q, k): (Tensor, Tensor) = (normal([1, 1, 2, 7]), normal([1, 1, 2, 7], seed: 2))
        func placed(_ x: Tensor) -> Tensor { lrpe(x.expanded(to: [1, size, 2, 7])) }
        let scores: [Double] = pairwiseScores(placed(q), placed(k))[0, 1].array()
        func coordinates(_ place: Int) -> [Int] {
            shape.indices.map { place / shape[($0 + 1)...].reduce(1, *) % shape[$0] }
        }
        var known: [[Int]: Double] = [:]
        for (i, j) in (0..<size).flatMap({ i in (0..<size).map { (i, $0) } }) {
            let distance: [Int] = zip(coordinates(i), coordinates(j)).map { $0 - $1 }
            let score: Double = scores[i * size + j]
            #expect(abs(known[distance, default: score] - score) < 1e-10, "\(distance)")
            known[distance] = score
        }
        // Each axis matters.
        for axis in shape.indices {
            let unit: [Int] = shape.indices.map { $0 == axis ? 1 : 0 }
            #expect(abs(known[unit]! - known[shape.map { _ in 0 }]!) > 1e-3)
        }
    }

    @Test func ratesAreTheSeriesAndExtraTokensStandAtZero() {
        let lrpe: MultiDimLRPE = MultiDimLRPE(heads: 1, dimensions: 4, shape: [2, 2], extraTokens: 2, learned: true)
        let rates: [Double] = lrpe.trainedTheta!.asType(.float64).array()
        #expect(rates.count == 2 && abs(rates[0] - 1) < 1e-7 && abs(rates[1] - 0.01) < 1e-8)
        #expect(lrpe.namedParameters().map(\.name) == ["theta"])
        let turned: Tensor = lrpe(.ones([1, 6, 1, 4], device: .cpu))
        let angles: [[Double]] = (0..<6).map { turned[0, $0, 0, 4...].asin().array() }
        for (found, expected) in zip(
            angles, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0.01], [1, 0.01, 0, 0], [1, 0.01, 1, 0.01]])
        {
            #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-5 }, "\(found) is not \(expected)")
        }
        // Continuing where the class tokens end gives what reading at once gives.
        #expect(scaledError(lrpe(.ones([1, 3, 1, 4], device: .cpu), offset: 3), turned[0..., 3...]) < 1e-6)
    }

    @Test func causalGridsContinue() {
        let layer: LightNetAttention = double(LightNetAttention(.init(dimensions: 8, heads: 2, gridShape: [3, 4], extraTokens: 1)))
        let x: Tensor = normal([1, 13, 8])
        var state: MixerState = layer.initialState(batch: 1, dtype: .float64, device: .cpu)
        let pieces: [Tensor] = [x[0..., ..<6], x[0..., 6...]].map { layer($0, continuing: &state, mode: .chunkwise(4)) }
        #expect(relativeError(concatenated(pieces, axis: 1), layer(x, mode: .recurrent)) < 1e-10)
    }

    @Test func initialMassIsAStepOfNothing() {
        let q: Tensor = normal([1, 7, 1, 3])
        let (logits, v): (Tensor, Tensor) = (normal([1, 7, 1, 3], seed: 2), normal([1, 7, 1, 2], seed: 3))
        func behindNothing(_ x: Tensor) -> Tensor { concatenated([x.narrowed(axis: 1, start: 0, length: 1).zerosLike(), x], axis: 1) }
        let expected: Tensor = additiveRecurrence(q: behindNothing(q), keyLogits: behindNothing(logits), v: behindNothing(v)).output
        let start: AdditiveState = AdditiveState(
            memory: .zeros([1, 1, 3, 2], dtype: .float64, device: .cpu), logMass: .zeros([1, 1, 3], dtype: .float64, device: .cpu))
        let found: Tensor = additiveRecurrence(q: q, keyLogits: logits, v: v, initialState: start).output
        #expect(scaledError(found, expected[0..., 1...]) < 1e-12)
        let shares: AdditiveShares = AdditiveShares(logits, mask: nil, initialMass: true)
        let rest: Tensor = 1 - shares.keys.sum(axis: 1)
        #expect(scaledError(rest, (-shares.logMass).exp()) < 1e-12)
    }

    @Test func groupsAreNormalisedApart() {
        let norm: GroupedRMSNorm = double(GroupedRMSNorm(6, groups: 2))
        let x: Tensor = normal([3, 6])
        let expected: Tensor = concatenated([x[0..., ..<3].rmsNormalized(), x[0..., 3...].rmsNormalized()], axis: 1)
        #expect(relativeError(norm(x), expected) < 1e-12)
        #expect(relativeError(GroupedRMSNorm(6)(x.asType(.float32)), x.rmsNormalized().asType(.float32)) < 1e-6)
    }

    // MARK: Toeplitz positions

    /// The sums along an axis as a product with the lower-triangular Toeplitz matrix of each head.
    private func explicitSums(_ encoding: ToeplitzEncoding, _ x: Tensor) -> Tensor {
        let (heads, length): (Int, Int) = (encoding.rho.count, x.dim(1))
        let decays: [Double] = encoding.rho.sigmoid().array()
        let strengths: [Double] = (encoding.query * encoding.key).reshaped(heads, -1).sum(axis: 1).array()
        let parts: [Tensor] = (0..<heads).map { head in
            let entries: [Double] = (0..<length).flatMap { t in
                (0..<length).map { s in
                    s <= t ? strengths[head] * (0..<(t - s)).reduce(1.0) { power, _ in power * decays[head] } : 0
                }
            }
            return Tensor(entries, [length, length], dtype: .float64, device: .cpu).matmul(
                x.splitHeads(heads).selected(axis: 2, index: head))
        }
        return concatenated(parts, axis: -1)
    }

    @Test func positionsAreToeplitzProductsAlongEachAxis() {
        let encoding: MultiDimTPE = double(MultiDimTPE(6, heads: 2, axes: 2))
        let x: Tensor = normal([2, 5, 40, 6])
        let rows: Tensor = x.swappedAxes(1, 2).reshaped(80, 5, 6)
        let columns: Tensor = x.reshaped(10, 40, 6)
        #expect(relativeError(encoding.axes[0].sums(rows), explicitSums(encoding.axes[0], rows)) < 1e-10)
        #expect(relativeError(encoding.axes[1].sums(columns), explicitSums(encoding.axes[1], columns)) < 1e-10)
        let expected: Tensor =
            encoding.axes[0](rows).reshaped(2, 40, 5, 6).swappedAxes(1, 2) + encoding.axes[1](columns).reshaped(2, 5, 40, 6)
        #expect(relativeError(encoding(x), expected) < 1e-12)
    }

    @Test func aPulseSpreadsAlongItsRowAndColumn() {
        let encoding: MultiDimTPE = double(MultiDimTPE(4, heads: 2, axes: 2))
        let x: Tensor = .zeros([1, 5, 6, 4], dtype: .float64, device: .cpu)
        x[0, 2, 3].fill_(1)
        let size: Tensor = encoding(x).abs().sum(axis: -1)[0]
        for row in 0..<5 {
            for column in 0..<6 {
                let reached: Bool = (row == 2 && column >= 3) || (column == 3 && row >= 2)
                #expect((size[row, column].item(Double.self) > 0) == reached, "(\(row), \(column))")
            }
        }
    }

    @Test func positionsHaveGradients() throws {
        let encoding: MultiDimTPE = double(MultiDimTPE(4, heads: 2, axes: 2))
        try gradientCheck([normal([1, 2, 3, 4])] + encoding.parameters().map { $0.detached() }) { inputs in
            for (parameter, value) in zip(encoding.parameters(), inputs.dropFirst()) { parameter.replace(with: value) }
            return [encoding(inputs[0])]
        }
    }

    // MARK: Scans

    private func gatedMixer() -> GatedLinearAttention {
        let mixer: GatedLinearAttention = double(GatedLinearAttention(.init(dimensions: 16, heads: 2, gateLowRank: 4)))
        noGrad { for projection in mixer.gateProjections { projection.weight.multiply_(30) } }
        return mixer
    }

    @Test func twoScansAreAddedBeforeTheNorm() {
        let mixer: GatedLinearAttention = gatedMixer()
        let x: Tensor = normal([2, 11, 16])
        func read(_ x: Tensor) -> Tensor {
            var none: MixerState?
            let signals: GatedLinearAttention.Signals = mixer.signals(x, mask: nil, state: &none)
            return gatedLinearAttention(q: signals.query, k: signals.key, v: signals.value, logGate: signals.logGate).output
        }
        let expected: Tensor = mixer.finished(read(x) + read(x.flipped(axes: [1])).flipped(axes: [1]), from: x)
        #expect(relativeError(multiScan(mixer, directions: 2)(x), expected) < 1e-10)
        #expect(relativeError(multiScan(mixer, directions: 1)(x), mixer(x)) < 1e-12)
    }

    @Test func fourScansTreatRowsAndColumnsAlike() {
        let mixer: GatedLinearAttention = gatedMixer()
        let scan: MultiScan = multiScan(mixer, directions: 4, gridShape: [3, 3])
        let x: Tensor = normal([2, 9, 16])
        func turned(_ x: Tensor) -> Tensor { x.reshaped(2, 3, 3, 16).swappedAxes(1, 2).reshaped(2, 9, 16) }
        #expect(relativeError(scan(turned(x)), turned(scan(x))) < 1e-10)
        let two: MultiScan = multiScan(mixer, directions: 2, gridShape: [3, 3])
        #expect(relativeError(two(turned(x)), turned(two(x))) > 1e-3)
    }
}
