import Torch
import Training

extension LGreCo {
    /// Names of a state's tensors, and what lists of them begin with.
    private enum Name {
        static let settings: String = "settings"
        static let progress: String = "progress"
        static let layers: String = "layers"
        static let parameters: String = "parameters"
        static let recent: String = "recent."
        static let compressor: String = "compressor."
        static let residual: String = "residual."
    }

    private var method: String { type(of: compressor).name }

    /// Tells the state of one choice of settings from that of another.
    private var settings: [Double] {
        [
            accordion?.strong ?? reference, accordion?.gentle ?? reference, alpha, Double(frequency), Double(startIteration),
            isLayerwise ? 1 : 0,
        ]
    }

    /// Step, choice, residuals, the gradients since the last choice, and what the compressor carries.
    public var state: GradientExchangeState {
        var shared: [String: Tensor] = [
            Name.settings: Tensor(settings, device: .cpu),
            Name.progress: Tensor(
                [Double(step), Double(recent.count), accordion?.reference ?? .nan, accordion?.norm ?? .nan], device: .cpu),
        ]
        if !layers.isEmpty {
            shared[Name.layers] = Tensor(layers.map(Int64.init), device: .cpu)
            shared[Name.parameters] = Tensor(parameters.map(Int64.init), device: .cpu)
        }
        for (index, sum) in recent.sums.enumerated() { shared[Name.recent + String(index)] = sum }
        for (name, tensor) in compressor.state { shared[Name.compressor + name] = tensor }
        let own: [(String, Tensor)] = residuals.enumerated().map { (Name.residual + String($0), $1) }
        return GradientExchangeState(
            shared: Dictionary(uniqueKeysWithValues: shared.map { ("\(method).\($0)", $1) }), own: Dictionary(uniqueKeysWithValues: own))
    }

    /// - Throws: `ConfigurationError` for the state of another method or of other settings.
    public func load(_ state: GradientExchangeState) throws {
        let prefix: String = "\(method)."
        if let stranger = state.shared.keys.sorted().first(where: { !$0.hasPrefix(prefix) }) {
            throw ConfigurationError(
                "the run has compressed its gradients by \(stranger.prefix { $0 != "." }), not by \(method); continue with the same")
        }
        let shared: [String: Tensor] = state.shared.below(prefix)
        guard let progress = shared[Name.progress]?.array(Double.self), progress.count == 4,
            let before = shared[Name.settings]?.array(Double.self)
        else { throw ConfigurationError("the checkpoint's state of \(method) is not whole; continue from another checkpoint") }
        if before != settings {
            throw ConfigurationError("the run has compressed its gradients by \(method) with other settings; continue with the same")
        }
        step = Int(progress[0])
        if accordion != nil { (accordion!.reference, accordion!.norm) = (progress[2], progress[3].isNaN ? nil : progress[3]) }
        layers = Self.numbers(shared[Name.layers])
        parameters = Self.numbers(shared[Name.parameters])
        recent = GradientWindow(length: recent.length, sums: Self.list(Name.recent, shared), count: Int(progress[1]))
        residuals = Self.list(Name.residual, state.own)
        compressor.load(shared.below(Name.compressor))
    }

    private static func numbers(_ tensor: Tensor?) -> [Int] { tensor?.array(Int64.self).map(Int.init) ?? [] }

    /// The tensors `prefix0`, `prefix1`, ..., as copies that may be changed.
    private static func list(_ prefix: String, _ tensors: [String: Tensor]) -> [Tensor] {
        var found: [Tensor] = []
        while let next = tensors[prefix + String(found.count)] { found.append(next.cloned()) }
        return found
    }
}
