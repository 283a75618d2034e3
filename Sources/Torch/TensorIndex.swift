/// What may stand between the brackets of ``Tensor/subscript(_:)-(TensorIndex...)->Tensor``, one for each axis.
///
/// | index | meaning |
/// | --- | --- |
/// | `2`, `-1` | one place, from the end where negative; drops the axis |
/// | `1 ..< 3`, `1 ... 2`, `1...`, `..<3`, `...3`, `(-2)...` | a range as a view; negative bounds count from the end |
/// | `.stride(from: 0, to: 8, by: 2)`, `.stride(by: -1)` | every n-th place; a negative step runs backwards and copies |
/// | `.ellipsis` | as many whole axes as are left over |
/// | `.newAxis` | a new axis of length 1 |
/// | `[2, 0, 2]`, an integer `Tensor` | the places named, as a copy; several such indices broadcast together |
/// | a `Tensor` of `.bool` | the places that are true, as a copy; takes as many axes as it has |
public protocol TensorIndex {
    var operation: TensorIndexOperation { get }
}

/// The forms that an index takes, whatever type it was written with.
public enum TensorIndexOperation {
    case position(Int)
    /// Missing bounds are the axis' ends. `through` counts the place at `end` in.
    case slice(start: Int?, end: Int?, step: Int, through: Bool)
    /// `.ellipsis`.
    case otherAxes
    /// `.newAxis`.
    case insertedAxis
    case positions([Int])
    case tensor(Tensor)
}

extension TensorIndexOperation: TensorIndex {
    public var operation: TensorIndexOperation { self }
}

extension TensorIndex where Self == TensorIndexOperation {
    /// All axes that the other indices leave over.
    public static var ellipsis: TensorIndexOperation { .otherAxes }

    /// A new axis of length 1.
    public static var newAxis: TensorIndexOperation { .insertedAxis }

    /// Every `by`-th place from `from` (the first, or the last where the step is negative) up to and without `to`.
    public static func stride(from: Int? = nil, to: Int? = nil, by: Int) -> TensorIndexOperation {
        .slice(start: from, end: to, step: by, through: false)
    }
}

extension Int: TensorIndex {
    public var operation: TensorIndexOperation { .position(self) }
}

extension Range: TensorIndex where Bound == Int {
    public var operation: TensorIndexOperation { .slice(start: lowerBound, end: upperBound, step: 1, through: false) }
}

extension ClosedRange: TensorIndex where Bound == Int {
    public var operation: TensorIndexOperation { .slice(start: lowerBound, end: upperBound, step: 1, through: true) }
}

extension PartialRangeFrom: TensorIndex where Bound == Int {
    public var operation: TensorIndexOperation { .slice(start: lowerBound, end: nil, step: 1, through: false) }
}

extension PartialRangeUpTo: TensorIndex where Bound == Int {
    public var operation: TensorIndexOperation { .slice(start: nil, end: upperBound, step: 1, through: false) }
}

extension PartialRangeThrough: TensorIndex where Bound == Int {
    public var operation: TensorIndexOperation { .slice(start: nil, end: upperBound, step: 1, through: true) }
}

extension Array: TensorIndex where Element == Int {
    public var operation: TensorIndexOperation { .positions(self) }
}

extension Tensor: TensorIndex {
    public var operation: TensorIndexOperation { .tensor(self) }
}
