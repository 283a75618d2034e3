private let expOp: Operator = Operator("exp")
private let expm1Op: Operator = Operator("expm1")
private let logOp: Operator = Operator("log")
private let log1pOp: Operator = Operator("log1p")
private let log2Op: Operator = Operator("log2")
private let sqrtOp: Operator = Operator("sqrt")
private let rsqrtOp: Operator = Operator("rsqrt")
private let squareOp: Operator = Operator("square")
private let reciprocalOp: Operator = Operator("reciprocal")
private let absOp: Operator = Operator("abs")
private let signOp: Operator = Operator("sign")
private let sinOp: Operator = Operator("sin")
private let cosOp: Operator = Operator("cos")
private let tanOp: Operator = Operator("tan")
private let asinOp: Operator = Operator("asin")
private let acosOp: Operator = Operator("acos")
private let atanOp: Operator = Operator("atan")
private let sinhOp: Operator = Operator("sinh")
private let coshOp: Operator = Operator("cosh")
private let tanhOp: Operator = Operator("tanh")
private let erfOp: Operator = Operator("erf")
private let erfinvOp: Operator = Operator("erfinv")
private let lgammaOp: Operator = Operator("lgamma")
private let floorOp: Operator = Operator("floor")
private let ceilOp: Operator = Operator("ceil")
private let roundOp: Operator = Operator("round")
private let truncOp: Operator = Operator("trunc")
private let sigmoidOp: Operator = Operator("sigmoid")
private let logSigmoidOp: Operator = Operator("log_sigmoid")
private let reluOp: Operator = Operator("relu")
private let siluOp: Operator = Operator("silu")
private let mishOp: Operator = Operator("mish")
private let isNaNOp: Operator = Operator("isnan")
private let isFiniteOp: Operator = Operator("isfinite")
private let isInfOp: Operator = Operator("isinf")
private let logicalNotOp: Operator = Operator("logical_not")
private let bitwiseNotOp: Operator = Operator("bitwise_not")
private let conjugateOp: Operator = Operator("conj")
private let realOp: Operator = Operator("real")
private let imaginaryOp: Operator = Operator("imag")
private let angleOp: Operator = Operator("angle")
private let viewAsRealOp: Operator = Operator("view_as_real")
private let viewAsComplexOp: Operator = Operator("view_as_complex")
private let geluOp: Operator = Operator("gelu")
private let softplusOp: Operator = Operator("softplus")
private let eluOp: Operator = Operator("elu")
private let leakyReluOp: Operator = Operator("leaky_relu")
private let clampOp: Operator = Operator("clamp")
private let nanToNumOp: Operator = Operator("nan_to_num")

// Element-wise functions of one tensor; the result has the operand's shape.
extension Tensor {
    public func exp() -> Tensor { expOp(self) }

    /// `exp(x) - 1`, exact near 0.
    public func expm1() -> Tensor { expm1Op(self) }

    /// Natural logarithm.
    public func log() -> Tensor { logOp(self) }

    /// `log(1 + x)`, exact near 0.
    public func log1p() -> Tensor { log1pOp(self) }

    public func log2() -> Tensor { log2Op(self) }

    public func sqrt() -> Tensor { sqrtOp(self) }

    /// `1 / sqrt(x)`.
    public func rsqrt() -> Tensor { rsqrtOp(self) }

    public func square() -> Tensor { squareOp(self) }

    public func reciprocal() -> Tensor { reciprocalOp(self) }

    /// Absolute value; the modulus of a complex number.
    public func abs() -> Tensor { absOp(self) }

    public func sign() -> Tensor { signOp(self) }

    public func sin() -> Tensor { sinOp(self) }

    public func cos() -> Tensor { cosOp(self) }

    public func tan() -> Tensor { tanOp(self) }

    public func asin() -> Tensor { asinOp(self) }

    public func acos() -> Tensor { acosOp(self) }

    public func atan() -> Tensor { atanOp(self) }

    public func sinh() -> Tensor { sinhOp(self) }

    public func cosh() -> Tensor { coshOp(self) }

    public func tanh() -> Tensor { tanhOp(self) }

    public func erf() -> Tensor { erfOp(self) }

    public func erfinv() -> Tensor { erfinvOp(self) }

    public func lgamma() -> Tensor { lgammaOp(self) }

    public func floor() -> Tensor { floorOp(self) }

    public func ceil() -> Tensor { ceilOp(self) }

    /// To the nearest integer, halves to even.
    public func round() -> Tensor { roundOp(self) }

    public func trunc() -> Tensor { truncOp(self) }

    public func sigmoid() -> Tensor { sigmoidOp(self) }

    /// `log(sigmoid(x))` without underflow.
    public func logSigmoid() -> Tensor { logSigmoidOp(self) }

    public func relu() -> Tensor { reluOp(self) }

    /// `x · sigmoid(x)`.
    public func silu() -> Tensor { siluOp(self) }

    /// `x · tanh(softplus(x))`.
    public func mish() -> Tensor { mishOp(self) }

    public func isNaN() -> Tensor { isNaNOp(self) }

    public func isFinite() -> Tensor { isFiniteOp(self) }

    public func isInf() -> Tensor { isInfOp(self) }

    public func logicalNot() -> Tensor { logicalNotOp(self) }

    public func bitwiseNot() -> Tensor { bitwiseNotOp(self) }

    public func conjugate() -> Tensor { conjugateOp(self) }

    /// Real part of a complex tensor, as a view.
    public func real() -> Tensor { realOp(self) }

    /// Imaginary part of a complex tensor, as a view.
    public func imaginary() -> Tensor { imaginaryOp(self) }

    public func angle() -> Tensor { angleOp(self) }

    /// A complex `[...]` as a real `[..., 2]`, sharing memory.
    public func viewAsReal() -> Tensor { viewAsRealOp(self) }

    /// A real `[..., 2]` as a complex `[...]`, sharing memory.
    public func viewAsComplex() -> Tensor { viewAsComplexOp(self) }

    /// Gaussian error linear unit: exact, or by the tanh approximation.
    public func gelu(approximate: Bool = false) -> Tensor { geluOp(self, approximate ? "tanh" : "none") }

    /// `log(1 + exp(beta · x)) / beta`.
    public func softplus(beta: Double = 1) -> Tensor { softplusOp(self, beta) }

    /// `x` where positive, else `alpha · (exp(x) - 1)`.
    public func elu(alpha: Double = 1) -> Tensor { eluOp(self, alpha) }

    public func leakyRelu(slope: Double = 0.01) -> Tensor { leakyReluOp(self, slope) }

    /// Limited to `[lowest, highest]`; nil leaves that side open.
    public func clamped(_ lowest: Double? = nil, _ highest: Double? = nil) -> Tensor { clampOp(self, lowest, highest) }

    /// NaN and infinities replaced by finite numbers.
    public func replacingNaN(with value: Double = 0) -> Tensor { nanToNumOp(self, value) }
}
