private let addOp: Operator = Operator("add", "Tensor")
private let addScalarOp: Operator = Operator("add", "Scalar")
private let addInPlaceOp: Operator = Operator("add_", "Tensor")
private let addInPlaceScalarOp: Operator = Operator("add_", "Scalar")
private let subOp: Operator = Operator("sub", "Tensor")
private let subScalarOp: Operator = Operator("sub", "Scalar")
private let subInPlaceOp: Operator = Operator("sub_", "Tensor")
private let subInPlaceScalarOp: Operator = Operator("sub_", "Scalar")
private let mulOp: Operator = Operator("mul", "Tensor")
private let mulScalarOp: Operator = Operator("mul", "Scalar")
private let mulInPlaceOp: Operator = Operator("mul_", "Tensor")
private let mulInPlaceScalarOp: Operator = Operator("mul_", "Scalar")
private let divOp: Operator = Operator("div", "Tensor")
private let divScalarOp: Operator = Operator("div", "Scalar")
private let divInPlaceOp: Operator = Operator("div_", "Tensor")
private let divInPlaceScalarOp: Operator = Operator("div_", "Scalar")
private let eqOp: Operator = Operator("eq", "Tensor")
private let eqScalarOp: Operator = Operator("eq", "Scalar")
private let neOp: Operator = Operator("ne", "Tensor")
private let neScalarOp: Operator = Operator("ne", "Scalar")
private let ltOp: Operator = Operator("lt", "Tensor")
private let ltScalarOp: Operator = Operator("lt", "Scalar")
private let leOp: Operator = Operator("le", "Tensor")
private let leScalarOp: Operator = Operator("le", "Scalar")
private let gtOp: Operator = Operator("gt", "Tensor")
private let gtScalarOp: Operator = Operator("gt", "Scalar")
private let geOp: Operator = Operator("ge", "Tensor")
private let geScalarOp: Operator = Operator("ge", "Scalar")
private let rsubOp: Operator = Operator("rsub", "Scalar")
private let negOp: Operator = Operator("neg")
private let powOp: Operator = Operator("pow", "Tensor_Scalar")
private let powTensorOp: Operator = Operator("pow", "Tensor_Tensor")
private let maximumOp: Operator = Operator("maximum")
private let minimumOp: Operator = Operator("minimum")
private let remainderOp: Operator = Operator("remainder", "Scalar")
private let floorDivideOp: Operator = Operator("floor_divide", "Scalar")
private let andOp: Operator = Operator("logical_and")
private let orOp: Operator = Operator("logical_or")
private let atan2Op: Operator = Operator("atan2")
private let logAddExpOp: Operator = Operator("logaddexp")
private let addcmulOp: Operator = Operator("addcmul")
private let lerpOp: Operator = Operator("lerp", "Scalar")
private let zeroOp: Operator = Operator("zero_")
private let fillOp: Operator = Operator("fill_", "Scalar")
private let equalOp: Operator = Operator("equal")
private let allcloseOp: Operator = Operator("allclose")

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence
infix operator .&& : LogicalConjunctionPrecedence
infix operator .|| : LogicalDisjunctionPrecedence

// Broadcasting arithmetic and comparison (NumPy's rules), in the common type of both sides.
extension Tensor {
    public static func + (left: Tensor, right: Tensor) -> Tensor { addOp(left, right) }
    public static func + <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { addScalarOp(left, right) }
    public static func + <Value: ScalarValue>(left: Value, right: Tensor) -> Tensor { addScalarOp(right, left) }
    public static func - (left: Tensor, right: Tensor) -> Tensor { subOp(left, right) }
    public static func - <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { subScalarOp(left, right) }
    public static func - <Value: ScalarValue>(left: Value, right: Tensor) -> Tensor { rsubOp(right, left) }
    public static func * (left: Tensor, right: Tensor) -> Tensor { mulOp(left, right) }
    public static func * <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { mulScalarOp(left, right) }
    public static func * <Value: ScalarValue>(left: Value, right: Tensor) -> Tensor { mulScalarOp(right, left) }
    public static func / (left: Tensor, right: Tensor) -> Tensor { divOp(left, right) }
    public static func / <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { divScalarOp(left, right) }
    public static func / <Value: ScalarValue>(left: Value, right: Tensor) -> Tensor { mulScalarOp(right.reciprocal(), left) }
    public static func .== (left: Tensor, right: Tensor) -> Tensor { eqOp(left, right) }
    public static func .== <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { eqScalarOp(left, right) }
    public static func .!= (left: Tensor, right: Tensor) -> Tensor { neOp(left, right) }
    public static func .!= <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { neScalarOp(left, right) }
    public static func .< (left: Tensor, right: Tensor) -> Tensor { ltOp(left, right) }
    public static func .< <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { ltScalarOp(left, right) }
    public static func .<= (left: Tensor, right: Tensor) -> Tensor { leOp(left, right) }
    public static func .<= <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { leScalarOp(left, right) }
    public static func .> (left: Tensor, right: Tensor) -> Tensor { gtOp(left, right) }
    public static func .> <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { gtScalarOp(left, right) }
    public static func .>= (left: Tensor, right: Tensor) -> Tensor { geOp(left, right) }
    public static func .>= <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { geScalarOp(left, right) }

    public static prefix func - (operand: Tensor) -> Tensor { negOp(operand) }

    public static func .&& (left: Tensor, right: Tensor) -> Tensor { andOp(left, right) }
    public static func .|| (left: Tensor, right: Tensor) -> Tensor { orOp(left, right) }

    public static func % <Value: ScalarValue>(left: Tensor, right: Value) -> Tensor { remainderOp(left, right) }

    public func floorDivided<Value: ScalarValue>(by value: Value) -> Tensor { floorDivideOp(self, value) }

    public func pow<Value: ScalarValue>(_ exponent: Value) -> Tensor { powOp(self, exponent) }
    public func pow(_ exponent: Tensor) -> Tensor { powTensorOp(self, exponent) }

    /// Angle of the point (`other`, `self`), in radians.
    public func atan2(_ other: Tensor) -> Tensor { atan2Op(self, other) }

    /// `self + value · a · b`, in one pass.
    public func addingProduct(_ a: Tensor, _ b: Tensor, value: Double = 1) -> Tensor { addcmulOp(self, a, b, value) }

    /// `self + weight · (end - self)`.
    public func interpolated(to end: Tensor, weight: Double) -> Tensor { lerpOp(self, end, weight) }

    /// Whether shape and every element are the same (NaN is unequal to itself).
    public func isEqual(to other: Tensor) -> Bool { shape == other.shape && equalOp.number(self, other) != 0 }

    /// Whether every pair differs by at most `absolute + relative · |other|`.
    public func isClose(to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false) -> Bool {
        allcloseOp.number(self, other, relative, absolute, equalNaN) != 0
    }
}

// In-place arithmetic: every view of the memory sees the change.
extension Tensor {
    public func add_(_ other: Tensor) { addInPlaceOp.perform(self, other) }
    public func add_<Value: ScalarValue>(_ value: Value) { addInPlaceScalarOp.perform(self, value) }

    public func subtract_(_ other: Tensor) { subInPlaceOp.perform(self, other) }
    public func subtract_<Value: ScalarValue>(_ value: Value) { subInPlaceScalarOp.perform(self, value) }

    public func multiply_(_ other: Tensor) { mulInPlaceOp.perform(self, other) }
    public func multiply_<Value: ScalarValue>(_ value: Value) { mulInPlaceScalarOp.perform(self, value) }

    public func divide_(_ other: Tensor) { divInPlaceOp.perform(self, other) }
    public func divide_<Value: ScalarValue>(_ value: Value) { divInPlaceScalarOp.perform(self, value) }

    public func zero_() { zeroOp.perform(self) }
    public func fill_<Value: ScalarValue>(_ value: Value) { fillOp.perform(self, value) }
}

/// The larger of each pair.
public func maximum(_ left: Tensor, _ right: Tensor) -> Tensor { maximumOp(left, right) }

/// The smaller of each pair.
public func minimum(_ left: Tensor, _ right: Tensor) -> Tensor { minimumOp(left, right) }

/// `log(exp(left) + exp(right))` without overflow.
public func logAddExp(_ left: Tensor, _ right: Tensor) -> Tensor { logAddExpOp(left, right) }

// Compound assignment makes a new tensor and binds the variable (or the indexed place) to it, so that it is safe in a graph;
// `add_` and its kin write in place.
extension Tensor {
    public static func += (left: inout Tensor, right: Tensor) { left = left + right }
    public static func += <Value: ScalarValue>(left: inout Tensor, right: Value) { left = left + right }
    public static func -= (left: inout Tensor, right: Tensor) { left = left - right }
    public static func -= <Value: ScalarValue>(left: inout Tensor, right: Value) { left = left - right }
    public static func *= (left: inout Tensor, right: Tensor) { left = left * right }
    public static func *= <Value: ScalarValue>(left: inout Tensor, right: Value) { left = left * right }
    public static func /= (left: inout Tensor, right: Tensor) { left = left / right }
    public static func /= <Value: ScalarValue>(left: inout Tensor, right: Value) { left = left / right }
}
