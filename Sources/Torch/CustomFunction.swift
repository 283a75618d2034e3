import CTorch

/// A function with a hand-written backward.
///
/// `forward` runs without a graph and returns the outputs together with the backward: a closure from the outputs' gradients
/// (nil is zero) to the inputs' (nil is none). The closure may capture inputs, also for higher derivatives when it is made of
/// differentiable operators. It must not capture the *returned* outputs, which would keep the graph alive in a cycle;
/// the outputs seen inside `forward` carry no graph and are fine.
public func customFunction(
    _ name: StaticString = "customFunction", _ inputs: [Tensor],
    forward: ([Tensor]) throws -> (outputs: [Tensor], backward: ([Tensor?]) throws -> [Tensor?])
) rethrows -> [Tensor] {
    let (outputs, backward) = try noGrad { try forward(inputs) }
    guard isGradEnabled, inputs.contains(where: { $0.requiresGrad }) else { return outputs }
    let context: UnsafeMutableRawPointer = Unmanaged.passRetained(BackwardClosure(backward)).toOpaque()
    var results: [CTTensor?] = Array(repeating: nil, count: outputs.count)
    let status: Int32 = withHandles(inputs) { inputHandles in
        withHandles(outputs) { outputHandles in
            ct_custom_node(
                "\(name)", inputHandles, Int32(inputs.count), outputHandles, Int32(outputs.count), runBackward,
                { Unmanaged<BackwardClosure>.fromOpaque($0!).release() }, context, &results)
        }
    }
    guard status == 0 else {
        ErrorCapture.fail("\(name)")
        return outputs.map { _ in Tensor.failedPlaceholder() }
    }
    return results.map { Tensor(owning: $0!) }
}

private final class BackwardClosure {
    let run: ([Tensor?]) throws -> [Tensor?]
    init(_ run: @escaping ([Tensor?]) throws -> [Tensor?]) { self.run = run }
}

/// The C entry point of every custom backward. Operator failures inside become the failure of the gradient call.
private let runBackward: CTBackward = { context, outputGradients, outputCount, inputGradients, inputCount, message, messageSize in
    let closure: BackwardClosure = Unmanaged<BackwardClosure>.fromOpaque(context!).takeUnretainedValue()
    let incoming: [Tensor?] = (0..<Int(outputCount)).map { index in
        outputGradients![index].map { Tensor(owning: ct_retain($0)) }
    }
    do {
        let outgoing: [Tensor?] = try withTorchErrors { try closure.run(incoming) }
        guard outgoing.count == Int(inputCount) else {
            throw TorchError("the backward gave \(outgoing.count) gradients for \(inputCount) inputs")
        }
        for (index, gradient) in outgoing.enumerated() { inputGradients![index] = gradient.map { ct_retain($0.handle) } }
        return 0
    } catch {
        let text: [CChar] = Array("\(error)".utf8CString.prefix(Int(messageSize) - 1)) + [0]
        message!.update(from: text, count: text.count)
        return 1
    }
}
