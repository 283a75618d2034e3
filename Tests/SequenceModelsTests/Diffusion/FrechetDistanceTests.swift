import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct FrechetDistanceTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func equalSetsAreAtNoDistanceAndShiftsAtTheirSquare() {
        let features: Tensor = normal([50, 6], seed: 1)
        #expect(abs(frechetDistance(features, features)) < 1e-9)
        let shift: Tensor = Tensor([1.0, 0, -2, 0, 0, 0.5])
        #expect(abs(frechetDistance(features, features + shift) - 5.25) < 1e-9)
        let other: Tensor = normal([40, 6], seed: 2) * 2
        #expect(abs(frechetDistance(features, other) - frechetDistance(other, features)) < 1e-8)
    }

    /// For covariances that commute, the distance is that of the deviations along their axes.
    @Test func scaledAxesAreAtTheDistanceOfTheirDeviations() {
        let white: Tensor = {
            let raw: Tensor = normal([60, 3], seed: 3)
            let centred: Tensor = raw - raw.mean(axis: 0)
            return centred.qr().q * 59.0.squareRoot()
        }()
        let (first, second): (Tensor, Tensor) = (white * Tensor([1.0, 2, 3]), white * Tensor([2.0, 2, 0.5]))
        #expect(abs(frechetDistance(first, second) - (1 + 0 + 6.25)) < 1e-8)
        // Features that never vary have a covariance without an inverse.
        #expect(abs(frechetDistance(white * 0, second) - (4 + 4 + 0.25)) < 1e-8)
    }

    @Test func featuresComeInPieces() throws {
        let network: ImageFeatures = ImageFeatures(channels: 3, imageSize: 8, classes: 4, generator: RandomGenerator(seed: 1))
        let images: Tensor = .normal([7, 3, 8, 8], device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        let whole: Tensor = network.features(images)
        #expect(whole.shape == [7, ImageFeatures.dimensions])
        #expect(relativeError(network.allFeatures(images, rows: 3), whole) < 1e-5)
        #expect(network(images).shape == [7, 4])
    }

    /// Tiles from left to right and top to bottom with a black line between, the last place empty.
    @Test func imagesLieInAGrid() {
        let images: Tensor = Tensor([-1.0, 0, 1] as [Float], [3, 1, 1, 1])
        let grid: ImageGrid = ImageGrid(images, columns: 2, zoom: 2, gap: 1)
        #expect(grid.width == 5 && grid.height == 5)
        let rows: [[UInt8]] = [[0, 0, 0, 128, 128], [0, 0, 0, 0, 0], [255, 255, 0, 0, 0]]
        let expected: [UInt8] = [rows[0], rows[0], rows[1], rows[2], rows[2]].flatMap { $0 }
        #expect(grid.pixels.array(UInt8.self) == expected)
        let small: ImageGrid = ImageGrid(Tensor([1.0, 1, 1] as [Float], [3, 1, 1, 1]), gap: 0)
        #expect(small.width == 2 && small.height == 2)
        #expect(small.png().starts(with: [0x89, 0x50, 0x4e, 0x47]))
    }
}
