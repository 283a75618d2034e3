import CTorch

extension Tensor {
    /// Whether gradients are recorded for this tensor.
    public var requiresGrad: Bool { ct_requires_grad(handle) }

    /// Starts or stops recording gradients for a leaf; gives the tensor itself. Traps for an integer tensor or one inside a graph.
    @discardableResult
    public func requiringGrad(_ value: Bool = true) -> Tensor {
        if ct_set_requires_grad(handle, value) != 0 { ErrorCapture.fail("requiringGrad") }
        return self
    }

    /// Whether this tensor was computed from tensors that require gradients.
    public var hasGraph: Bool { ct_has_grad_function(handle) }
}

/// Runs `body` without recording gradients.
public func noGrad<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withGradMode(false, body)
}

/// Runs `body` with gradients recorded, also inside ``noGrad(_:)``.
public func enableGrad<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withGradMode(true, body)
}

/// Whether gradients are being recorded on this thread.
public var isGradEnabled: Bool { ct_grad_enabled() }

private func withGradMode<Result>(_ enabled: Bool, _ body: () throws -> Result) rethrows -> Result {
    let before: Bool = ct_grad_enabled()
    ct_set_grad_enabled(enabled)
    defer { ct_set_grad_enabled(before) }
    return try body()
}

/// The same elements, through which no gradient flows.
public func stopGradient(_ tensor: Tensor) -> Tensor { tensor.detached() }

/// Gradients of `outputs` with respect to `inputs` (vector–Jacobian products).
/// - Parameters:
///   - outputs: what is differentiated.
///   - inputs: leaves or inner nodes of the graph.
///   - outputGradients: one for each output; nil means ones, which needs outputs of one element.
///   - retainGraph: keep the graph for another pass; as `createGraph` unless given.
///   - createGraph: record the computation of the gradients too, for higher order.
/// - Returns: one gradient for each input, zeros where the outputs do not depend on it.
public func gradients(
    of outputs: [Tensor], withRespectTo inputs: [Tensor], outputGradients: [Tensor?]? = nil, retainGraph: Bool? = nil,
    createGraph: Bool = false
) -> [Tensor] {
    precondition(outputGradients == nil || outputGradients?.count == outputs.count, "one output gradient for each output")
    if inputs.isEmpty { return [] }
    var results: [CTTensor?] = Array(repeating: nil, count: inputs.count)
    let status: Int32 = withHandles(outputs) { outputHandles in
        withHandles(inputs) { inputHandles in
            withHandles(outputGradients ?? []) { gradientHandles in
                ct_grad(
                    outputHandles, Int32(outputs.count), inputHandles, Int32(inputs.count),
                    outputGradients == nil ? nil : gradientHandles, retainGraph ?? createGraph, createGraph, true, &results)
            }
        }
    }
    guard status == 0 else {
        ErrorCapture.fail("gradients")
        return inputs.map { _ in Tensor.failedPlaceholder() }
    }
    return zip(results, inputs).map { result, input in result.map { Tensor(owning: $0) } ?? input.zerosLike() }
}

/// Calls a closure with a tensor's gradient in every backward pass, as soon as the gradient is complete and while the others are still computed.
///
/// The hook lasts as long as this object. The closure runs without recording and must not write into the gradient.
public final class GradientHook {
    private let tensor: CTTensor
    private let number: UInt32

    /// - Parameters:
    ///   - tensor: requires gradients (traps otherwise); one that is replaced later loses the hook.
    ///   - body: receives the gradient.
    public init(on tensor: Tensor, _ body: @escaping (Tensor) -> Void) {
        precondition(tensor.requiresGrad, "a gradient hook on a tensor that requires no gradient")
        let context: UnsafeMutableRawPointer = Unmanaged.passRetained(HookClosure(body)).toOpaque()
        var number: UInt32 = 0
        let status: Int32 = ct_add_gradient_hook(
            tensor.handle,
            { context, gradient in
                Unmanaged<HookClosure>.fromOpaque(context!).takeUnretainedValue().run(Tensor(owning: ct_retain(gradient!)))
            }, { Unmanaged<HookClosure>.fromOpaque($0!).release() }, context, &number)
        if status != 0 { fatalError("GradientHook: \(String(cString: ct_last_error()))") }
        self.tensor = ct_retain(tensor.handle)
        self.number = number
    }

    deinit {
        ct_remove_gradient_hook(tensor, number)
        ct_release(tensor)
    }
}

private final class HookClosure {
    private let body: (Tensor) -> Void
    init(_ body: @escaping (Tensor) -> Void) { self.body = body }

    func run(_ gradient: Tensor) { noGrad { body(gradient.detached()) } }
}

/// The value of a scalar function and its gradients with respect to `parameters`.
public func valueAndGrad(of parameters: [Tensor], createGraph: Bool = false, _ function: () throws -> Tensor) rethrows -> (
    value: Tensor, gradients: [Tensor]
) {
    let value: Tensor = try enableGrad(function)
    let found: [Tensor] = gradients(of: [value], withRespectTo: parameters, createGraph: createGraph)
    return (createGraph ? value : value.detached(), found)
}

/// The gradient function of a scalar function of several tensors.
///
/// `grad(of: f)` composes: `grad(of: { grad(of: f)($0)[0].sum() })` is a second derivative.
public func grad(of function: @escaping ([Tensor]) -> Tensor) -> ([Tensor]) -> [Tensor] {
    { arguments in
        // Inside an outer gradient the arguments are part of its graph and have to stay so.
        let nested: Bool = isGradEnabled && arguments.contains { $0.requiresGrad }
        let inputs: [Tensor] = arguments.map { nested && $0.requiresGrad ? $0 : $0.detached().requiringGrad() }
        return valueAndGrad(of: inputs, createGraph: nested) { function(inputs) }.gradients
    }
}

/// Calls `body` with the handles of an array of tensors, which stay alive meanwhile.
func withHandles<Result>(_ tensors: [Tensor], _ body: (UnsafePointer<CTTensor?>) throws -> Result) rethrows -> Result {
    try lend(tensors.map { $0.handle }, of: tensors, to: body)
}

/// The same with gaps.
func withHandles<Result>(_ tensors: [Tensor?], _ body: (UnsafePointer<CTTensor?>) throws -> Result) rethrows -> Result {
    try lend(tensors.map { $0?.handle }, of: tensors, to: body)
}

private func lend<Owner, Result>(
    _ handles: [CTTensor?], of owners: [Owner], to body: (UnsafePointer<CTTensor?>) throws -> Result
) rethrows -> Result {
    try withExtendedLifetime(owners) { try handles.withUnsafeBufferPointer { try body($0.baseAddress ?? emptyHandles) } }
}

private nonisolated(unsafe) let emptyHandles: UnsafePointer<CTTensor?> = UnsafePointer(
    UnsafeMutablePointer<CTTensor?>.allocate(capacity: 1))
