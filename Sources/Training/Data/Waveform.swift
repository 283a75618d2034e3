/// Sampled sound, one array of samples in -1...1 for each channel.
public struct Waveform: Sendable, Equatable {
    /// Samples a second.
    public let sampleRate: Int
    /// Channels of equal length.
    public let channels: [[Float]]

    public var length: Int { channels[0].count }

    public init(sampleRate: Int, channels: [[Float]]) {
        precondition(!channels.isEmpty && channels.allSatisfy { $0.count == channels[0].count }, "Waveform: channels of unequal length")
        self.sampleRate = sampleRate
        self.channels = channels
    }

    /// The mean over the channels.
    public var mono: [Float] {
        guard channels.count > 1 else { return channels[0] }
        return (0..<length).map { index in channels.reduce(0) { $0 + $1[index] } / Float(channels.count) }
    }

    /// The waveform at another rate by linear interpolation. There is no filter against aliasing: what lies above half the new rate folds back.
    public func resampled(to rate: Int) -> Waveform {
        precondition(rate > 0, "Waveform: a rate of \(rate)")
        guard rate != sampleRate && length > 0 else { return self }
        let count = Int((Double(length) * Double(rate) / Double(sampleRate)).rounded())
        let step = Double(sampleRate) / Double(rate)
        return Waveform(
            sampleRate: rate,
            channels: channels.map { samples in
                (0..<count).map { index in
                    let position = min(Double(index) * step, Double(samples.count - 1))
                    let left = Int(position)
                    let fraction = Float(position - Double(left))
                    return samples[left] * (1 - fraction) + samples[min(left + 1, samples.count - 1)] * fraction
                }
            })
    }

    /// `samples` cut or padded with zeros on both sides to `length`, its middle staying in the middle.
    public static func centred(_ samples: [Float], to length: Int) -> [Float] {
        if samples.count >= length {
            let start = (samples.count - length) / 2
            return Array(samples[start..<start + length])
        }
        let left = (length - samples.count) / 2
        let right = length - samples.count - left
        return [Float](repeating: 0, count: left) + samples + [Float](repeating: 0, count: right)
    }

    /// `samples` scaled to a root mean square of 1; silence stays as it is.
    public static func unitPower(_ samples: [Float]) -> [Float] {
        let power = samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(1, samples.count))
        guard power > 0 else { return samples }
        let gain = Float(1 / power.squareRoot())
        return samples.map { $0 * gain }
    }
}
