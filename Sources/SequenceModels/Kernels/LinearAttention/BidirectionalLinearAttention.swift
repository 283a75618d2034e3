import Torch

/// Linear attention in which every step reads all steps: `O = scale · Q (Kᵀ V)`, linear in the length.
///
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - scale: factor on `q`, K^-1/2 unless given.
///   - mask: `[B, T]`, 1 for real tokens; the others write nothing.
/// - Returns: the output `[B, T, H, V]` in `v`'s type, and what every step reads, `Kᵀ V`, `[B, H, K, V]`.
public func bidirectionalLinearAttention(
    q: Tensor, k: Tensor, v: Tensor, scale: Double? = nil, mask: Tensor? = nil
) -> (output: Tensor, state: Tensor) {
    let shape: AttentionShape = AttentionShape("bidirectionalLinearAttention", q: q, k: k, v: v)
    func headsFirst(_ x: Tensor) -> Tensor { x.asType(shape.accumulator).swappedAxes(1, 2) }
    let memory: Tensor = headsFirst(k.masked(by: mask)).mT.matmul(headsFirst(v.masked(by: mask)))
    let output: Tensor = (headsFirst(q) * shape.scale(scale)).matmul(memory)
    return (output.swappedAxes(1, 2).asType(v.dtype), memory)
}
