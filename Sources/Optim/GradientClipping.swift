import Torch

/// The 2-norm of all gradients as one vector, in double precision over the tensors' norms; NaN or infinity where a gradient holds one.
/// Half precision is summed in float32. Waits for the device.
public func globalNorm(_ gradients: [Tensor?]) -> Double {
    noGrad {
        let present: [Tensor] = gradients.compactMap { $0 }
        let byType: [DType: [Tensor]] = Dictionary(grouping: present) { $0.dtype }
        var sum: Double = 0
        for (dtype, tensors) in byType {
            let norms: [Tensor] = TensorList.norms(tensors, dtype: dtype.byteCount == 2 ? .float32 : nil)
            let byDevice: [String: [Tensor]] = Dictionary(grouping: norms) { $0.device.description }
            for group in byDevice.values { sum += stacked(group).asType(.float64).square().sum().item(Double.self) }
        }
        return sum.squareRoot()
    }
}

/// Gradients scaled down together where their global norm is above `maximum`, and the norm before.
///
/// The gradients given are not written to, since autograd may hand out one tensor twice. A norm that is NaN or infinite leaves them as they are:
/// look at the norm before stepping.
/// - Parameters:
///   - gradients: nil where a parameter has none.
///   - maximum: above 0.
public func clipped(_ gradients: [Tensor?], toGlobalNorm maximum: Double) -> (gradients: [Tensor?], norm: Double) {
    precondition(maximum > 0, "a largest norm of \(maximum); it has to be above 0")
    let norm: Double = globalNorm(gradients)
    return (clipped(gradients, ofNorm: norm, to: maximum), norm)
}

/// As ``clipped(_:toGlobalNorm:)``, for gradients whose norm is known, such as pieces of larger ones.
/// - Parameters:
///   - gradients: nil where a parameter has none.
///   - norm: of all of them together, wherever they are.
///   - maximum: above 0.
public func clipped(_ gradients: [Tensor?], ofNorm norm: Double, to maximum: Double) -> [Tensor?] {
    guard norm.isFinite, norm > maximum else { return gradients }
    return mapPresent(gradients) { TensorList.multiply($0, by: maximum / norm) }
}

/// Gradients with every element limited to `-limit ... limit`, as new tensors.
/// - Parameters:
///   - gradients: nil where a parameter has none.
///   - limit: above 0.
public func clipped(_ gradients: [Tensor?], toValue limit: Double) -> [Tensor?] {
    precondition(limit > 0, "a largest value of \(limit); it has to be above 0")
    return mapPresent(gradients) { TensorList.clamp($0, to: -limit...limit) }
}

/// Maps the gradients that are there, in one call.
func mapPresent(_ gradients: [Tensor?], _ transform: ([Tensor]) -> [Tensor]) -> [Tensor?] {
    var results: IndexingIterator<[Tensor]> = noGrad { transform(gradients.compactMap { $0 }) }.makeIterator()
    return gradients.map { $0 == nil ? nil : results.next() }
}
