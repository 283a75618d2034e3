private let sliceOp: Operator = Operator("slice", "Tensor")

/// A list of indices applied to a tensor: the view that positions, ranges and new axes make, and for each of its axes the
/// index tensor that remains to be looked up (a mask of several axes stands once, at its first).
struct IndexedView {
    private(set) var view: Tensor
    private(set) var lookups: [Tensor?] = []
    private let source: Tensor
    /// The axis of `source` and of `view` that the next index is for.
    private var sourceAxis: Int = 0
    private var viewAxis: Int = 0
    private var hasLookups: Bool = false

    init(_ source: Tensor, _ indices: [any TensorIndex]) throws {
        self.source = source
        view = source
        let operations: [TensorIndexOperation] = indices.map(\.operation)
        let taken: Int = operations.reduce(0) { $0 + Self.axesTaken(by: $1) }
        guard taken <= source.ndim else {
            throw TorchError("\(taken) axes are indexed, but shape \(source.shape) has \(source.ndim)")
        }
        guard operations.filter({ if case .otherAxes = $0 { true } else { false } }).count <= 1 else {
            throw TorchError("more than one .ellipsis on shape \(source.shape)")
        }
        for operation in operations { try apply(operation, leftOver: source.ndim - taken) }
    }

    /// Whether the result is a view, without anything to look up.
    var isBasic: Bool { !hasLookups }

    private static func axesTaken(by operation: TensorIndexOperation) -> Int {
        switch operation {
        case .otherAxes, .insertedAxis: 0
        case .position, .slice, .positions: 1
        case .tensor(let index): index.dtype == .bool ? index.ndim : 1
        }
    }

    private mutating func apply(_ operation: TensorIndexOperation, leftOver: Int) throws {
        switch operation {
        case .position(let index):
            view = view.selected(axis: viewAxis, index: try place(index))
            sourceAxis += 1
        case .slice(let start, let end, let step, let through):
            try slice(from: start, to: end, step: step, through: through)
        case .otherAxes:
            keep(leftOver)
        case .insertedAxis:
            view = view.expandedDimensions(axis: viewAxis)
            lookups.append(nil)
            viewAxis += 1
        case .positions(let places):
            let resolved: [Int] = try places.map { try place($0) }
            lookUp(Tensor(resolved, device: source.device), axes: 1)
        case .tensor(let index):
            try lookUp(checked: index)
        }
    }

    /// Leaves the next axes as they are.
    private mutating func keep(_ count: Int) {
        lookups += Array(repeating: nil, count: count)
        sourceAxis += count
        viewAxis += count
    }

    private mutating func lookUp(_ index: Tensor, axes: Int) {
        lookups.append(index)
        hasLookups = true
        sourceAxis += axes
        viewAxis += axes
    }

    private mutating func lookUp(checked index: Tensor) throws {
        guard index.dtype == .bool else {
            guard index.dtype.isInteger else { throw TorchError("an index tensor must be of integers or .bool, not \(index.dtype)") }
            let wide: Tensor = index.dtype == .int64 ? index : index.asType(.int64)
            return lookUp(wide.to(device: source.device), axes: 1)
        }
        guard index.ndim > 0 else { throw TorchError("a mask needs at least one axis; its shape is []") }
        let covered: [Int] = Array(source.shape[sourceAxis..<(sourceAxis + index.ndim)])
        guard covered == index.shape else {
            throw TorchError(
                "a mask of shape \(index.shape) stands at axis \(sourceAxis) of shape \(source.shape), where \(covered) is needed")
        }
        lookUp(index.to(device: source.device), axes: index.ndim)
    }

    /// The place from the start, checked.
    private func place(_ index: Int) throws -> Int {
        let length: Int = source.dim(sourceAxis)
        guard index >= -length && index < length else {
            throw TorchError("index \(index) is out of range for axis \(sourceAxis) of shape \(source.shape)")
        }
        return index < 0 ? index + length : index
    }

    private mutating func slice(from start: Int?, to end: Int?, step: Int, through: Bool) throws {
        guard step != 0 else { throw TorchError("the step of a stride is 0 on axis \(sourceAxis) of shape \(source.shape)") }
        if step < 0 { return try sliceBackwards(from: start, to: end, step: step) }
        let length: Int = source.dim(sourceAxis)
        let lower: Int = try bound(start ?? 0)
        let upper: Int = try bound(end.map { through ? ($0 == -1 ? length : $0 + 1) : $0 } ?? length)
        if lower != 0 || upper != length || step != 1 { view = sliceOp(view, viewAxis, lower, Swift.max(lower, upper), step) }
        keep(1)
    }

    /// libtorch has no negative strides, so that a reversed slice names its places.
    private mutating func sliceBackwards(from start: Int?, to end: Int?, step: Int) throws {
        let length: Int = source.dim(sourceAxis)
        let first: Int = try start.map { try place($0) } ?? length - 1
        let last: Int = try end.map { try place($0) } ?? -1
        let places: [Int] = Array(Swift.stride(from: first, to: last, by: step))
        lookUp(Tensor(places, device: source.device), axes: 1)
    }

    /// A bound of a range, from the start: `0 ... length`, or `-length ..< 0` from the end.
    private func bound(_ index: Int) throws -> Int {
        let length: Int = source.dim(sourceAxis)
        guard index >= -length && index <= length else {
            throw TorchError("bound \(index) of a range is out of range for axis \(sourceAxis) of shape \(source.shape)")
        }
        return index < 0 ? index + length : index
    }
}
