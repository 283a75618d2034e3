import Torch

/// Time and memory of a kernel's forward and backward pass.
enum KernelCost {
    /// - Returns: the shortest of `repetitions` passes in seconds, after one to warm up, and the peak of the bytes that a pass allocates.
    static func measure(_ inputs: [Tensor], repetitions: Int, _ kernel: ([Tensor]) -> Tensor) -> (seconds: Double, peakBytes: Int) {
        let leaves: [Tensor] = inputs.map { $0.detached().requiringGrad() }
        return measure(repetitions: repetitions) { _ = valueAndGrad(of: leaves) { kernel(leaves).sum() } }
    }

    /// The same of any pass.
    static func measure(repetitions: Int, _ pass: () -> Void) -> (seconds: Double, peakBytes: Int) {
        let bytes: Int = Memory.measure(pass).usage.peakByteCount
        let clock: ContinuousClock = ContinuousClock()
        let times: [Duration] = (0..<repetitions).map { _ in clock.measure(pass) }
        let shortest: Duration = times.min() ?? .zero
        return (Double(shortest.components.seconds) + Double(shortest.components.attoseconds) / 1e18, bytes)
    }
}
