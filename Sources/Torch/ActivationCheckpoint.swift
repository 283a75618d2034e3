import CTorch

/// Runs `body` without keeping what its operators would save for the backward pass; the backward runs it again instead.
///
/// Memory falls to the inputs of the segment, for one more forward pass. The shared random stream is put back for the second
/// run, so that dropout drops the same elements, and autocast is as it was. `body` has to give the same result when run
/// again: it may not draw from generators of its own or change state (batch norm's running statistics would move twice).
///
/// Gradients flow to `inputs` and to `parameters`, and nowhere else: list every tensor that requires gradients and that
/// `body` uses by capture, such as a layer's parameters. `body` itself gets `inputs` only. The result is differentiable to
/// any order.
public func checkpoint(
    _ inputs: [Tensor], parameters: [Tensor] = [], _ body: @escaping ([Tensor]) -> [Tensor]
) -> [Tensor] {
    let surroundings: Surroundings = Surroundings(device: (inputs + parameters).first?.device ?? .default)
    return customFunction("checkpoint", inputs + parameters) { arguments in
        let given: [Tensor] = Array(arguments.prefix(inputs.count))
        let outputs: [Tensor] = body(given)
        return (
            outputs,
            { outputGradients in
                try recompute(given, parameters, body, surroundings, outputGradients)
            }
        )
    }
}

/// ``checkpoint(_:parameters:_:)-([Tensor],_,_)`` of one tensor.
public func checkpoint(_ input: Tensor, parameters: [Tensor] = [], _ body: @escaping (Tensor) -> Tensor) -> Tensor {
    checkpoint([input], parameters: parameters) { [body($0[0])] }[0]
}

/// The second forward pass, with a graph, and the gradients through it.
private func recompute(
    _ inputs: [Tensor], _ parameters: [Tensor], _ body: ([Tensor]) -> [Tensor], _ surroundings: Surroundings,
    _ outputGradients: [Tensor?]
) throws -> [Tensor?] {
    let higherOrder: Bool = isGradEnabled
    // For higher orders the second run has to stay in the graph of the inputs.
    let given: [Tensor] = inputs.map { higherOrder ? $0 : $0.detached().requiringGrad($0.requiresGrad) }
    let outputs: [Tensor] = try surroundings.restored { enableGrad { body(given) } }
    let reached: [Int] = outputs.indices.filter { outputs[$0].requiresGrad && outputGradients[$0] != nil }
    let targets: [Tensor] = given + parameters
    let wanted: [Int] = targets.indices.filter { targets[$0].requiresGrad }
    var results: [Tensor?] = Array(repeating: nil, count: targets.count)
    guard !reached.isEmpty, !wanted.isEmpty else { return results }
    let found: [Tensor] = gradients(
        of: reached.map { outputs[$0] }, withRespectTo: wanted.map { targets[$0] },
        outputGradients: reached.map { outputGradients[$0] }, createGraph: higherOrder)
    for (index, gradient) in zip(wanted, found) { results[index] = gradient }
    return results
}

/// What a forward pass depends on besides its arguments.
private struct Surroundings {
    private let device: Device
    /// The shared stream and the one beneath it, which some of libtorch's operators read.
    private let randomStates: [Tensor]
    private let isAutocast: Bool
    private let autocastType: DType

    init(device: Device) {
        self.device = device
        randomStates = Self.generators(on: device).map { $0.state() }
        isAutocast = ct_autocast_enabled(device.kind.rawValue)
        autocastType = DType(rawValue: ct_autocast_type(device.kind.rawValue)) ?? .bfloat16
    }

    /// Runs `body` as then, and leaves everything as it is now.
    func restored<Result>(_ body: () throws -> Result) throws -> Result {
        let generators: [RandomGenerator] = Self.generators(on: device)
        let present: [Tensor] = generators.map { $0.state() }
        for (generator, state) in zip(generators, randomStates) { try generator.restore(state) }
        let outcome: Swift.Result<Result, any Error> = Swift.Result {
            try autocast(autocastType, device: device, enabled: isAutocast, body)
        }
        for (generator, state) in zip(generators, present) { try generator.restore(state) }
        return try outcome.get()
    }

    private static func generators(on device: Device) -> [RandomGenerator] { [.shared(on: device), .libtorchs(on: device)] }
}
