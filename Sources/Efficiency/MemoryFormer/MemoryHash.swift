import NN
import Torch

/// How much of a table's row is taken, by the chunk `z` that was hashed.
public enum MemoryWeighting: String, Codable, Sendable, CaseIterable {
    /// `p(z)`, the probability of the chunk's own sign pattern among all of them (the paper's, section 3.2).
    case probability
    /// `Σ|zᵢ| · p(z)`, similarity times probability (the released code's): grows with the chunk as a linear map does, and vanishes where signs flip.
    case scaledProbability = "scaled-probability"
    /// `Σ|zᵢ|` alone.
    case magnitude
}

/// Which rows are read and with which weight: what ``MemoryHash`` makes of vectors, and any number of ``MemoryTables`` can share.
public struct MemoryCodes {
    /// The row in each of the K tables, `[..., K]` (int64) below 2^bits.
    public let codes: Tensor
    /// `[..., K]`; the only path on which a gradient reaches the input.
    public let weights: Tensor

    public init(codes: Tensor, weights: Tensor) {
        self.codes = codes
        self.weights = weights
    }
}

/// Locality-sensitive hashing by signs: a vector `[..., D]` is cut into `K = D / bits` chunks, and the signs of a chunk are the number of a row,
/// `h(z) = Σ_i 2^(bits-1-i) [z_i ≥ 0]` (Ding et al., *MemoryFormer*, 2024, arXiv 2411.12992, section 3.1).
///
/// A channel near 0 may have one sign or the other by rounding, and so read one row or another: sums in another order (other batches, token by token) can
/// differ by more than rounding where that happens.
///
/// The code has no gradient. The weight has, and by it the layers below are trained: with temperature t,
/// `p(z) = exp(⟨z, sgn z⟩ / t) / Σ_s exp(⟨z, s⟩ / t) = Π_i σ(2 |z_i| / t)`, the sum over all sign patterns s.
public final class MemoryHash: Module, CostedLayer {
    public let dimensions: Int
    /// τ, signs in a code.
    public let bits: Int
    public let weighting: MemoryWeighting
    public let temperature: Double
    /// Fixed random directions `[D, D]` that vectors are turned to before hashing; nil hashes the channels themselves.
    @Buffer public var projection: Tensor?
    /// How often ``encode(_:)`` was called: layers that share codes hash once.
    private(set) var encodeCount: Int = 0

    /// Most signs of a code: a table of that many rows is large already.
    public static let mostBits: Int = 16

    /// Traps unless the bits divide the dimensions and the temperature is above 0.
    /// - Parameters:
    ///   - dimensions: D.
    ///   - bits: τ.
    ///   - weighting: of the rows.
    ///   - temperature: t.
    ///   - projects: whether vectors are projected at random before hashing, N(0, 1/D).
    ///   - generator: of the projection; nil takes the shared one.
    public init(
        _ dimensions: Int, bits: Int = 8, weighting: MemoryWeighting = .scaledProbability, temperature: Double = 1, projects: Bool = false,
        generator: RandomGenerator? = nil
    ) {
        precondition(
            (1...Self.mostBits).contains(bits) && dimensions > 0 && dimensions % bits == 0,
            "MemoryHash: \(dimensions) dimensions do not divide into codes of \(bits) bits (1 ... \(Self.mostBits))")
        precondition(temperature > 0, "MemoryHash: a temperature of \(temperature)")
        self.dimensions = dimensions
        self.bits = bits
        self.weighting = weighting
        self.temperature = temperature
        super.init()
        let deviation: Double = 1 / Double(dimensions).squareRoot()
        projection = projects ? .normal([dimensions, dimensions], standardDeviation: deviation, generator: generator) : nil
    }

    /// K, chunks of a vector and tables that they are looked up in.
    public var tableCount: Int { dimensions / bits }

    /// Of the projection; hashing itself multiplies nothing that would count.
    public var multiplyAccumulates: Int { projection == nil ? 0 : dimensions * dimensions }

    /// Codes and weights `[..., K]` of vectors `[..., D]`.
    public func encode(_ x: Tensor) -> MemoryCodes {
        precondition(x.dim(-1) == dimensions, "MemoryHash: vectors of \(x.dim(-1)) channels, not \(dimensions)")
        encodeCount += 1
        let turned: Tensor = projection.map { x.matmul($0) } ?? x
        let chunks: Tensor = turned.reshaped(Array(x.shape.dropLast()) + [tableCount, bits])
        return MemoryCodes(codes: codes(of: chunks.detached()), weights: weights(of: chunks))
    }

    private func codes(of chunks: Tensor) -> Tensor {
        // Sums of powers of two below 2^16 are exact in float32.
        let powers: [Float] = (0..<bits).map { Float(1 << (bits - 1 - $0)) }
        return (chunks .>= 0).asType(.float32).matmul(Tensor(powers, device: chunks.device)).asType(.int64)
    }

    private func weights(of chunks: Tensor) -> Tensor {
        let magnitudes: Tensor = chunks.abs()
        var probability: Tensor { (magnitudes * (2 / temperature)).logSigmoid().sum(axis: -1).exp() }
        switch weighting {
        case .probability: return probability
        case .scaledProbability: return magnitudes.sum(axis: -1) * probability
        case .magnitude: return magnitudes.sum(axis: -1)
        }
    }
}
