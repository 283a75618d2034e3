private let addListOp: Operator = Operator("_foreach_add", "List")
private let addListInPlaceOp: Operator = Operator("_foreach_add_", "List")
private let addScalarInPlaceOp: Operator = Operator("_foreach_add_", "Scalar")
private let multiplyScalarOp: Operator = Operator("_foreach_mul", "Scalar")
private let multiplyScalarInPlaceOp: Operator = Operator("_foreach_mul_", "Scalar")
private let divideListOp: Operator = Operator("_foreach_div", "List")
private let lerpOp: Operator = Operator("_foreach_lerp", "Scalar")
private let lerpInPlaceOp: Operator = Operator("_foreach_lerp_", "Scalar")
private let addProductInPlaceOp: Operator = Operator("_foreach_addcmul_", "Scalar")
private let addProductOp: Operator = Operator("_foreach_addcmul", "Scalar")
private let addQuotientInPlaceOp: Operator = Operator("_foreach_addcdiv_", "Scalar")
private let sqrtOp: Operator = Operator("_foreach_sqrt")
private let signOp: Operator = Operator("_foreach_sign")
private let signInPlaceOp: Operator = Operator("_foreach_sign_")
private let clampMinOp: Operator = Operator("_foreach_clamp_min", "Scalar")
private let clampMaxInPlaceOp: Operator = Operator("_foreach_clamp_max_", "Scalar")
private let copyOp: Operator = Operator("_foreach_copy_")
private let normOp: Operator = Operator("_foreach_norm", "Scalar")

/// Element-wise work on many tensors in one call, fused on devices that can.
///
/// Lists that are combined pair up by position and need equal lengths, shapes, dtypes and devices. An empty list does nothing.
/// A trailing underscore marks work in place, which under autograd belongs in ``noGrad(_:)``.
public enum TensorList {
    /// `left + scale · right`.
    public static func add(_ left: [Tensor], _ right: [Tensor], scale: Double = 1) -> [Tensor] {
        left.isEmpty ? [] : addListOp.tensors(left, right, scale)
    }

    /// `target += scale · other`.
    public static func add_(_ target: [Tensor], _ other: [Tensor], scale: Double = 1) {
        if !target.isEmpty { addListInPlaceOp.perform(target, other, scale) }
    }

    /// `target += value`.
    public static func add_(_ target: [Tensor], _ value: Double) {
        if !target.isEmpty { addScalarInPlaceOp.perform(target, value) }
    }

    public static func multiply(_ tensors: [Tensor], by value: Double) -> [Tensor] {
        tensors.isEmpty ? [] : multiplyScalarOp.tensors(tensors, value)
    }

    public static func multiply_(_ target: [Tensor], by value: Double) {
        if !target.isEmpty { multiplyScalarInPlaceOp.perform(target, value) }
    }

    public static func divide(_ left: [Tensor], by right: [Tensor]) -> [Tensor] {
        left.isEmpty ? [] : divideListOp.tensors(left, right)
    }

    /// `tensors + weight · (ends - tensors)`.
    public static func interpolate(_ tensors: [Tensor], to ends: [Tensor], weight: Double) -> [Tensor] {
        tensors.isEmpty ? [] : lerpOp.tensors(tensors, ends, weight)
    }

    /// `target += weight · (ends - target)`.
    public static func interpolate_(_ target: [Tensor], to ends: [Tensor], weight: Double) {
        if !target.isEmpty { lerpInPlaceOp.perform(target, ends, weight) }
    }

    /// `tensors + scale · a · b`.
    public static func addProduct(_ tensors: [Tensor], _ a: [Tensor], _ b: [Tensor], scale: Double = 1) -> [Tensor] {
        tensors.isEmpty ? [] : addProductOp.tensors(tensors, a, b, scale)
    }

    /// `target += scale · a · b`.
    public static func addProduct_(_ target: [Tensor], _ a: [Tensor], _ b: [Tensor], scale: Double = 1) {
        if !target.isEmpty { addProductInPlaceOp.perform(target, a, b, scale) }
    }

    /// `target += scale · a / b`.
    public static func addQuotient_(_ target: [Tensor], _ a: [Tensor], _ b: [Tensor], scale: Double = 1) {
        if !target.isEmpty { addQuotientInPlaceOp.perform(target, a, b, scale) }
    }

    public static func sqrt(_ tensors: [Tensor]) -> [Tensor] { tensors.isEmpty ? [] : sqrtOp.tensors(tensors) }

    public static func sign(_ tensors: [Tensor]) -> [Tensor] { tensors.isEmpty ? [] : signOp.tensors(tensors) }

    public static func sign_(_ target: [Tensor]) {
        if !target.isEmpty { signInPlaceOp.perform(target) }
    }

    /// Every element limited to `range`.
    public static func clamp(_ tensors: [Tensor], to range: ClosedRange<Double>) -> [Tensor] {
        if tensors.isEmpty { return [] }
        let raised: [Tensor] = clampMinOp.tensors(tensors, range.lowerBound)
        clampMaxInPlaceOp.perform(raised, range.upperBound)
        return raised
    }

    /// Writes the elements of `source` into `target`, converted.
    public static func copy_(_ target: [Tensor], from source: [Tensor]) {
        if !target.isEmpty { copyOp.perform(target, source) }
    }

    /// The norm of each tensor, of shape `[]`.
    /// - Parameters:
    ///   - tensors: any shapes.
    ///   - order: of the norm; 2 is the Euclidean one.
    ///   - dtype: the type to compute in; nil takes each tensor's own.
    public static func norms(_ tensors: [Tensor], order: Double = 2, dtype: DType? = nil) -> [Tensor] {
        tensors.isEmpty ? [] : normOp.tensors(tensors, order, dtype)
    }
}
