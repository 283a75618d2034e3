import CTorch

/// A product with a matrix of packed codes of 2, 3, 4 or 8 bits: float32 on the CPU, codes decoded in registers.
///
/// A weight is `scale (code − zero)`, with a scale and a zero point for each group of a row's inputs. Eight codes take `bits` bytes, the first in the
/// lowest bits of the first byte; rows of codes and of zero points are filled up to a multiple of 16 codes.
public struct FusedQuantizedLinear {
    private let codes: Tensor
    private let scales: Tensor
    private let zeros: Tensor
    private let inputs: Int
    private let bits: Int
    private let groupSize: Int

    /// Traps unless the tensors fit one another.
    /// - Parameters:
    ///   - codes: uint8 `[out, bytes]`.
    ///   - scales: float16 `[out, groups]`, not negative.
    ///   - zeros: uint8 `[out, bytes]`, packed like the codes.
    ///   - inputs: inputs of the matrix.
    ///   - bits: 2, 3, 4 or 8.
    ///   - groupSize: a multiple of 16.
    public init(codes: Tensor, scales: Tensor, zeros: Tensor, inputs: Int, bits: Int, groupSize: Int) {
        let groups: Int = (inputs + groupSize - 1) / groupSize
        func bytes(_ count: Int) -> Int { (count + 15) / 16 * 2 * bits }
        precondition([2, 3, 4, 8].contains(bits) && groupSize % 16 == 0, "FusedQuantizedLinear: \(bits) bits in groups of \(groupSize)")
        precondition(
            codes.shape == [scales.dim(0), bytes(inputs)] && scales.shape == [codes.dim(0), groups]
                && zeros.shape == [codes.dim(0), bytes(groups)] && codes.dtype == .uint8 && zeros.dtype == .uint8,
            "FusedQuantizedLinear: codes \(codes.shape), scales \(scales.shape) and zeros \(zeros.shape) for \(inputs) inputs do not fit")
        (self.codes, self.zeros) = (codes.contiguous(), zeros.contiguous())
        self.scales = scales.asType(.float16).contiguous()
        (self.inputs, self.bits, self.groupSize) = (inputs, bits, groupSize)
    }

    /// `[..., inputs]` to `[..., out]`.
    public func callAsFunction(_ x: Tensor, bias: Tensor? = nil) -> Tensor {
        precondition(x.dim(-1) == inputs, "FusedQuantizedLinear: \(x.shape) has not \(inputs) inputs")
        let (dense, shift): (Tensor, Tensor?) = (x.contiguous(), bias?.contiguous())
        let output: Tensor = .empty(x.shape.dropLast() + [codes.dim(0)], device: .cpu)
        var problem: CTQuantizedLinear = problem(output)
        problem.rows = Int64(x.count / max(inputs, 1))
        problem.x = UnsafePointer(elements(dense))
        problem.bias = UnsafePointer(shift.map(elements))
        withExtendedLifetime((dense, shift)) { run(&problem) }
        return output
    }

    /// The matrix, float32 `[out, inputs]`.
    public func dequantized() -> Tensor {
        let output: Tensor = .empty([codes.dim(0), inputs], device: .cpu)
        var problem: CTQuantizedLinear = problem(output)
        run(&problem)
        return output
    }

    private func problem(_ output: Tensor) -> CTQuantizedLinear {
        var problem: CTQuantizedLinear = CTQuantizedLinear()
        (problem.inputs, problem.outputs) = (Int64(inputs), Int64(codes.dim(0)))
        (problem.bits, problem.group) = (Int64(bits), Int64(groupSize))
        problem.codes = UnsafePointer(Self.bytes(codes).assumingMemoryBound(to: UInt8.self))
        problem.zeros = UnsafePointer(Self.bytes(zeros).assumingMemoryBound(to: UInt8.self))
        problem.scales = UnsafePointer(Self.bytes(scales).assumingMemoryBound(to: UInt16.self))
        problem.output = elements(output)
        return problem
    }

    private static func bytes(_ tensor: Tensor) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        if ct_data(tensor.handle, &pointer) != 0 { ErrorCapture.fail("FusedQuantizedLinear") }
        guard let pointer else { preconditionFailure("FusedQuantizedLinear: a tensor of shape \(tensor.shape) has no elements") }
        return pointer
    }

    private func run(_ problem: inout CTQuantizedLinear) {
        let status: Int32 = withExtendedLifetime(self) { ct_quantized_linear(&problem) }
        if status != 0 { ErrorCapture.fail("FusedQuantizedLinear") }
    }
}
