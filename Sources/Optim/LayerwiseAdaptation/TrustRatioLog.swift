import Torch

/// The trust ratios of ``LAMB``, ``LARS`` or a ``LayerwiseAdaptive`` rule over a run, for finding the layers that set the pace.
public struct TrustRatioLog: Sendable {
    /// Ratios by the parameter's name, one for each call of ``record(_:)``.
    public private(set) var ratios: [String: [Double]] = [:]

    public init() {}

    /// Notes the ratios of the optimizer's latest step. Waits for the device.
    public mutating func record(_ optimizer: some Optimizer) {
        let suffix: String = ".trust_ratio"
        for (name, ratio) in optimizer.stateTensors() where name.hasSuffix(suffix) {
            ratios[String(name.dropLast(suffix.count)), default: []].append(ratio.item(Double.self))
        }
    }
}
