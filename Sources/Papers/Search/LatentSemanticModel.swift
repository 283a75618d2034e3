import Foundation
import NN
import Torch

/// Latent semantic analysis (Deerwester et al., JASIS 1990) of the catalogue itself: the encoder that needs no download.
///
/// A text is a vector of its stems, `(1 + ln tf) · ln(N / n)`, of unit length. The first singular vectors of the matrix of all texts say which
/// stems go together; a text, or a query, is folded in by projecting on them. (Dividing by the singular values as well, as in the paper, ranked
/// the judged queries a little worse: nDCG@10 0.949 against 0.960.)
struct LatentSemanticModel: Codable, Sendable {
    /// Names the texts that the model was fitted to.
    let id: String
    let dimensions: Int
    private let numbers: [String: Int]
    /// `ln(N / n)` by stem.
    private let rarity: [Float]
    /// `[stems, dimensions]` in row-major order.
    private let projection: [Float]

    /// Every id begins so.
    static let prefix: String = "lsa-"
    private static let mostDimensions: Int = 64
    private static let mostStems: Int = 8192
    /// Up to this many texts a stem of one text alone is kept, and the decomposition is exact.
    static let fewTexts: Int = 512

    /// Fits a model. Where there are few texts it knows every stem, else those of at least two texts.
    init(id: String, fitting texts: [String]) {
        self.id = id
        let counts: [[String: Int]] = texts.map { TextAnalyzer.stems($0).reduce(into: [:]) { $0[$1, default: 0] += 1 } }
        var papers: [String: Int] = [:]
        for stems in counts { for stem in stems.keys { papers[stem, default: 0] += 1 } }
        let least: Int = texts.count > Self.fewTexts ? 2 : 1
        let kept: [(key: String, value: Int)] = papers.filter { $0.value >= least && $0.value < max(2, texts.count) }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.mostStems).map { $0 }
        numbers = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1.key, $0) })
        rarity = kept.map { log(Float(texts.count) / Float($0.value)) }
        let matrix: Tensor = Self.matrix(counts, numbers, rarity)
        let axes: Tensor = noGrad { Self.axes(matrix, min(Self.mostDimensions, texts.count, max(1, kept.count))) }
        dimensions = axes.dim(1)
        projection = axes.array(Float.self)
    }

    /// `[texts, stems]`, rows of unit length.
    private static func matrix(_ counts: [[String: Int]], _ numbers: [String: Int], _ rarity: [Float]) -> Tensor {
        let width: Int = max(1, numbers.count)
        var elements: [Float] = Array(repeating: 0, count: counts.count * width)
        for (row, stems) in counts.enumerated() {
            for (stem, count) in stems {
                if let number = numbers[stem] { elements[row * width + number] = (1 + log(Float(count))) * rarity[number] }
            }
        }
        return Tensor(elements, [counts.count, width], device: .cpu).l2Normalized(eps: 1e-12)
    }

    /// The first right singular vectors as columns, `[stems, count]`.
    private static func axes(_ matrix: Tensor, _ count: Int) -> Tensor {
        guard matrix.dim(0) > 0 else { return .zeros([matrix.dim(1), 1], device: .cpu) }
        if matrix.dim(0) <= fewTexts { return matrix.svd().vh[0..<count].mT.contiguous() }
        // Randomised subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061): the exact factors of thousands of texts take minutes.
        let generator: RandomGenerator = RandomGenerator(seed: 0, device: .cpu)
        let width: Int = min(count + 16, matrix.dim(0), matrix.dim(1))
        var basis: Tensor = matrix.matmul(Tensor.normal([matrix.dim(1), width], device: .cpu, generator: generator)).qr().q
        for _ in 0..<3 { basis = matrix.matmul(matrix.mT.matmul(basis).qr().q).qr().q }
        return basis.mT.matmul(matrix).svd().vh[0..<count].mT.contiguous()
    }

    /// Folds a weighted bag of stems in; zeros where none is known.
    private func vector(_ stems: [String: Float]) -> [Float] {
        var sum: [Float] = Array(repeating: 0, count: dimensions)
        // In order of the stems, so that a text always has the same vector to the last bit.
        let known: [(Int, Float)] = stems.compactMap { stem, weight in numbers[stem].map { ($0, weight) } }.sorted { $0.0 < $1.0 }
        for (number, weight) in known {
            let scale: Float = weight * rarity[number]
            projection.withUnsafeBufferPointer { projection in
                for axis in 0..<dimensions { sum[axis] += scale * projection[number * dimensions + axis] }
            }
        }
        let length: Float = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length < 1e-12 ? sum.map { _ in 0 } : sum.map { $0 / length }
    }

    /// The vector of a query's terms, each with its weight.
    func vector(of terms: [QueryTerm]) -> [Float] {
        var stems: [String: Float] = [:]
        for term in terms { for stem in term.stems { stems[stem] = max(stems[stem] ?? 0, Float(term.weight)) } }
        return vector(stems)
    }
}

extension LatentSemanticModel: SentenceEncoder {
    var textsOnTheWay: Int { .max }

    func encode(_ texts: [String]) -> [[Float]] {
        texts.map { text in
            let counts: [String: Int] = TextAnalyzer.stems(text).reduce(into: [:]) { $0[$1, default: 0] += 1 }
            return vector(counts.mapValues { 1 + log(Float($0)) })
        }
    }
}
