import Torch
import Training

/// Buckets of a gradient rounded at random to 2^b levels between their least and their greatest element (Alistarh et al., 2017, *QSGD*, with max-min
/// scaling). The number is b, the bits of an element.
///
/// A bucket's two ends are bfloat16, rounded outwards, so that a layer of N elements takes `b N / 8` bytes and 4 a bucket. Codes are packed: eight of
/// them in b bytes.
public final class QuantizationCompressor: GradientCompressor {
    public static let name: String = "quantization"

    /// Elements of a bucket.
    public let bucket: Int
    private let seed: UInt64
    private let generator: RandomGenerator
    /// Exchanges so far; each rounds by a stream of its own, so that the number is all that a checkpoint needs.
    private var exchanges: Int = 0

    /// - Parameters:
    ///   - bucket: elements that share a scale; 1024, or 128 for small networks.
    ///   - seed: of the rounding, which must differ between ranks.
    public init(bucket: Int = 1024, seed: UInt64) {
        precondition(bucket > 0, "a bucket of \(bucket)")
        self.bucket = bucket
        self.seed = seed
        generator = RandomGenerator(seed: seed, device: .cpu)
    }

    public var state: [String: Tensor] { ["exchanges": Tensor([Int64(exchanges)], device: .cpu)] }

    public func load(_ state: [String: Tensor]) { exchanges = state["exchanges"].map { Int($0.item(Int64.self)) } ?? 0 }

    public func compresses(_ shape: [Int], reference: Double) -> Bool { shape.count > 1 }

    public func parameter(_ shape: [Int], reference: Double) -> Int { Int(reference) }

    /// 2 to 8 bits.
    public func candidates(_ shape: [Int], reference: Double) -> [Int] { Array(2...8) }

    public func size(_ shape: [Int], _ parameter: Int) -> Int {
        let count: Int = shape.reduce(1, *)
        return (count + 7) / 8 * parameter + 4 * buckets(count)
    }

    private func buckets(_ count: Int) -> Int { (count + bucket - 1) / bucket }

    public func errorTable(_ gradient: Tensor, _ candidates: [Int]) -> [Double] {
        // The expected error, so that the table depends on no draw and falls with every bit: of an element between two levels h apart, at a fraction f
        // above the lower one, it is h² f (1 - f).
        noGrad {
            let scaled: Scaled = Scaled(gradient, bucket: bucket)
            return candidates.map { bits in
                let steps: Double = Double((1 << bits) - 1)
                let place: Tensor = scaled.fractions * steps
                let fraction: Tensor = place - place.floor()
                let width: Tensor = (scaled.range / steps).square()
                let spread: Tensor = (fraction * (1 - fraction)).asType(.float64) * width.asType(.float64)
                return spread.sum().item(Double.self).squareRoot()
            }
        }
    }

    public func exchange(_ inputs: [Tensor], _ parameters: [Int], over group: ProcessGroup) throws -> CompressedExchange {
        generator.seed(seed &+ UInt64(exchanges) &* 0x9E37_79B9_7F4A_7C15)
        exchanges += 1
        return try noGrad {
            let messages: [Tensor] = zip(inputs, parameters).map { compress($0, bits: $1) }
            let ranks: [[Tensor]] = try GatheredMessages.exchange(messages, over: group)
            let decoded: [[Tensor]] = ranks.map { rank in
                inputs.indices.map { decompress(rank[$0], shape: inputs[$0].shape, bits: parameters[$0]) }
            }
            let means: [Tensor] = inputs.indices.map { layer in
                decoded.dropFirst().reduce(decoded[0][layer]) { $0 + $1[layer] } / Double(group.worldSize)
            }
            return CompressedExchange(sent: decoded[group.rank], means: means)
        }
    }

    // MARK: Codes

    /// The message of a gradient: the ends of all buckets, then the packed codes.
    public func compress(_ gradient: Tensor, bits: Int) -> Tensor {
        precondition((1...8).contains(bits), "\(bits) bits an element; 1 to 8 are possible")
        return noGrad {
            let scaled: Scaled = Scaled(gradient, bucket: bucket)
            let levels: Tensor = scaled.fractions * Double((1 << bits) - 1)
            let noise: Tensor = Tensor.uniform(levels.shape, dtype: .float32, device: .cpu, generator: generator)
            let codes: Tensor = (levels + noise).floor().clamped(0, Double((1 << bits) - 1))
            let ends: Tensor = concatenated([scaled.low, scaled.high]).flattened()
            return concatenated([
                GatheredMessages.bytes(ends), Self.pack(codes.flattened().narrowed(axis: 0, start: 0, length: gradient.count), bits: bits),
            ])
        }
    }

    /// The gradient that a message stands for.
    public func decompress(_ message: Tensor, shape: [Int], bits: Int) -> Tensor {
        noGrad {
            let count: Int = shape.reduce(1, *)
            let number: Int = buckets(count)
            let ends: Tensor = GatheredMessages.elements(message, from: 0, count: 2 * number, as: .bfloat16).asType(.float32)
            let packed: Tensor = message.narrowed(axis: 0, start: 4 * number, length: message.count - 4 * number)
            let codes: Tensor = Self.unpack(packed, count: count, bits: bits).asType(.float32)
            let rows: Tensor = padded(codes, to: number * bucket).reshaped([number, bucket])
            let low: Tensor = ends.narrowed(axis: 0, start: 0, length: number).expandedDimensions(axis: 1)
            let high: Tensor = ends.narrowed(axis: 0, start: number, length: number).expandedDimensions(axis: 1)
            let values: Tensor = low + rows * ((high - low) / Double((1 << bits) - 1))
            return values.flattened().narrowed(axis: 0, start: 0, length: count).reshaped(shape)
        }
    }

    /// Codes of b bits, eight in b bytes: one 64-bit word holds eight of them, and its lower b bytes are kept.
    static func pack(_ codes: Tensor, bits: Int) -> Tensor {
        let groups: Int = (codes.count + 7) / 8
        let whole: Tensor = padded(codes, to: groups * 8)
        if bits == 8 { return whole.asType(.uint8) }
        let words: Tensor = (whole.asType(.int64).reshaped([groups, 8]) * places(bits)).sum(axis: 1)
        return words.reinterpreted(as: .uint8).reshaped([groups, 8]).narrowed(axis: 1, start: 0, length: bits).contiguous().flattened()
    }

    static func unpack(_ packed: Tensor, count: Int, bits: Int) -> Tensor {
        if bits == 8 { return packed.narrowed(axis: 0, start: 0, length: count) }
        let groups: Int = packed.count / bits
        let zeros: Tensor = Tensor.zeros([groups, 8 - bits], dtype: .uint8, device: .cpu)
        let words: Tensor = concatenated([packed.reshaped([groups, bits]), zeros], axis: 1).contiguous().flattened().reinterpreted(
            as: .int64)
        let columns: [Tensor] = (0..<8).map { words.floorDivided(by: 1 << (bits * $0)) % (1 << bits) }
        return stacked(columns, axis: 1).flattened().narrowed(axis: 0, start: 0, length: count)
    }

    /// What each of eight codes is multiplied by in their word.
    private static func places(_ bits: Int) -> Tensor { Tensor((0..<8).map { Int64(1) << Int64(bits * $0) }, device: .cpu) }

    /// A gradient in buckets, each between its own ends.
    private struct Scaled {
        /// `[buckets, bucket]` in 0 … 1; places beyond the gradient's end are 0.
        let fractions: Tensor
        /// `[buckets]` as they are sent.
        let low: Tensor
        let high: Tensor
        /// `[buckets, 1]`
        let range: Tensor

        init(_ gradient: Tensor, bucket: Int) {
            let flat: Tensor = gradient.detached().asType(.float32).flattened()
            let number: Int = (flat.count + bucket - 1) / bucket
            // The last element fills the last bucket up, which leaves the bucket's ends as they are.
            let last: Tensor = flat.narrowed(axis: 0, start: flat.count - 1, length: 1).expanded(to: [number * bucket - flat.count])
            let rows: Tensor = concatenated([flat, last]).reshaped([number, bucket])
            (low, high) = (Self.below(rows.min(axis: 1)), Self.above(rows.max(axis: 1)))
            let start: Tensor = low.asType(.float32).expandedDimensions(axis: 1)
            range = high.asType(.float32).expandedDimensions(axis: 1) - start
            let inside: Tensor = (Tensor.arange(number * bucket, device: .cpu) .< flat.count).reshaped([number, bucket])
            fractions = ((rows - start) / range.clamped(1e-38)).clamped(0, 1) * inside.asType(.float32)
        }

        /// bfloat16 has 8 bits; a 2^-8th of the value more than makes up for the rounding.
        private static func below(_ value: Tensor) -> Tensor { (value - value.abs() * 0x1p-8).asType(.bfloat16) }
        private static func above(_ value: Tensor) -> Tensor { (value + value.abs() * 0x1p-8).asType(.bfloat16) }
    }
}

/// A vector with zeros at its end.
private func padded(_ vector: Tensor, to count: Int) -> Tensor {
    if vector.count == count { return vector }
    return concatenated([vector, Tensor.zeros([count - vector.count], dtype: vector.dtype, device: .cpu)])
}
