// Products with Jacobians and Hessians. Functions take and give lists of tensors and have to be made of differentiable operators;
// their arguments are given detached copies, so that a function may not depend on the arguments' own history.

/// The outputs of a function and `cotangentsᵀ · J`, one for each input (reverse mode).
public func vjp(
    _ function: ([Tensor]) throws -> [Tensor], at inputs: [Tensor], cotangents: [Tensor], createGraph: Bool = false
) rethrows -> (outputs: [Tensor], products: [Tensor]) {
    let leaves: [Tensor] = tracked(inputs)
    let outputs: [Tensor] = try enableGrad { try function(leaves) }
    let products: [Tensor] = pullBack(outputs, leaves, cotangents, createGraph: createGraph)
    return (createGraph ? outputs : outputs.map { $0.detached() }, products)
}

/// The outputs of a function and `J · tangents`, one for each output.
///
/// libtorch's forward mode lacks custom functions, so that this goes twice backwards: `vᵀ J` is linear in `v`, and its own
/// transposed product with the tangents is `J · tangents`. Custom functions need a differentiable backward.
public func jvp(
    _ function: ([Tensor]) throws -> [Tensor], at inputs: [Tensor], tangents: [Tensor], createGraph: Bool = false
) rethrows -> (outputs: [Tensor], products: [Tensor]) {
    let leaves: [Tensor] = tracked(inputs)
    let outputs: [Tensor] = try enableGrad { try function(leaves) }
    // Any value would do: the second pass differentiates with respect to it.
    let directions: [Tensor] = outputs.map { $0.detached().zerosLike().requiringGrad() }
    let pulled: [Tensor] = enableGrad { pullBack(outputs, leaves, directions, createGraph: true) }
    let products: [Tensor] = pullBack(pulled, directions, tangents, createGraph: createGraph)
    return (createGraph ? outputs : outputs.map { $0.detached() }, products)
}

/// The Jacobian of a function of one tensor, `[outputs' shape..., input's shape...]`; one backward pass for each output element.
public func jacobian(_ function: (Tensor) throws -> Tensor, at input: Tensor, createGraph: Bool = false) rethrows -> Tensor {
    let leaf: Tensor = tracked([input])[0]
    let output: Tensor = try enableGrad { try function(leaf) }
    let flat: Tensor = enableGrad { output.flattened() }
    let rows: [Tensor] = (0..<flat.count).map { index in
        let element: Tensor = enableGrad { flat.selected(axis: 0, index: index) }
        guard element.requiresGrad else { return leaf.detached().zerosLike() }
        return gradients(of: [element], withRespectTo: [leaf], retainGraph: true, createGraph: createGraph)[0]
    }
    if rows.isEmpty { return leaf.detached().zerosLike().expandedDimensions(axis: 0).narrowed(axis: 0, start: 0, length: 0) }
    return stacked(rows).reshaped(output.shape + leaf.shape)
}

/// The value of a scalar function and `H · vectors`, one for each input, where `H` is the Hessian over all inputs together.
public func hessianVectorProduct(
    _ function: ([Tensor]) throws -> Tensor, at inputs: [Tensor], vectors: [Tensor]
) rethrows -> (value: Tensor, products: [Tensor]) {
    let leaves: [Tensor] = tracked(inputs)
    let (value, first): (Tensor, [Tensor]) = try valueAndGrad(of: leaves, createGraph: true) { try function(leaves) }
    return (value.detached(), pullBack(first, leaves, vectors, createGraph: false))
}

/// The Hessian of a scalar function of one tensor, `[shape..., shape...]`.
public func hessian(_ function: @escaping (Tensor) -> Tensor, at input: Tensor) -> Tensor {
    jacobian({ point in gradients(of: [function(point)], withRespectTo: [point], createGraph: true)[0] }, at: input)
}

private func tracked(_ inputs: [Tensor]) -> [Tensor] { inputs.map { $0.detached().requiringGrad() } }

/// Gradients of the outputs weighted by `cotangents`, leaving out outputs that do not depend on anything.
private func pullBack(_ outputs: [Tensor], _ inputs: [Tensor], _ cotangents: [Tensor], createGraph: Bool) -> [Tensor] {
    precondition(outputs.count == cotangents.count, "\(cotangents.count) vectors for \(outputs.count) tensors")
    let connected: [Int] = outputs.indices.filter { outputs[$0].requiresGrad }
    guard !connected.isEmpty else { return inputs.map { $0.detached().zerosLike() } }
    return gradients(
        of: connected.map { outputs[$0] }, withRespectTo: inputs, outputGradients: connected.map { cotangents[$0] },
        retainGraph: true, createGraph: createGraph)
}
