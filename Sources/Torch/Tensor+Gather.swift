private let gatherOp: Operator = Operator("gather")
private let scatterOp: Operator = Operator("scatter", "src")
private let scatterScalarOp: Operator = Operator("scatter", "value")
private let scatterAddOp: Operator = Operator("scatter_add")
private let scatterAddInPlaceOp: Operator = Operator("scatter_add_")
private let scatterReduceOp: Operator = Operator("scatter_reduce", "two")
private let indexSelectOp: Operator = Operator("index_select")
private let indexAddOp: Operator = Operator("index_add")
private let indexAddInPlaceOp: Operator = Operator("index_add_")
private let indexCopyOp: Operator = Operator("index_copy")
private let indexFillOp: Operator = Operator("index_fill", "int_Scalar")
private let takeAlongOp: Operator = Operator("take_along_dim")
private let maskedFillOp: Operator = Operator("masked_fill", "Scalar")
private let maskedFillTensorOp: Operator = Operator("masked_fill", "Tensor")
private let maskedFillInPlaceOp: Operator = Operator("masked_fill_", "Scalar")
private let maskedSelectOp: Operator = Operator("masked_select")
private let maskedScatterOp: Operator = Operator("masked_scatter")
private let whereOp: Operator = Operator("where", "self")
private let whereScalarRightOp: Operator = Operator("where", "ScalarOther")
private let whereScalarLeftOp: Operator = Operator("where", "ScalarSelf")
private let nonzeroOp: Operator = Operator("nonzero")
private let searchSortedOp: Operator = Operator("searchsorted", "Tensor")
private let oneHotOp: Operator = Operator("one_hot")
private let uniqueOp: Operator = Operator("_unique2")
private let uniqueRowsOp: Operator = Operator("unique_dim")
private let meshgridOp: Operator = Operator("meshgrid", "indexing")
private let cdistOp: Operator = Operator("cdist")

// Reading and writing at indices along one axis. Index tensors are int64 unless said otherwise.
extension Tensor {
    /// `result[i][j][k] = self[i][indices[i][j][k]][k]` for `axis` 1, and so on. `indices` has as many axes as `self`, is nowhere
    /// longer except along `axis`, and is not broadcast; see ``takeAlong(_:axis:)``.
    public func gather(axis: Int, indices: Tensor) -> Tensor { gatherOp(self, axis, indices) }

    /// As ``gather(axis:indices:)``, broadcasting both tensors outside the axis. Goes with ``argSort(axis:descending:)`` and its kin.
    public func takeAlong(_ indices: Tensor, axis: Int) -> Tensor { takeAlongOp(self, indices, axis) }

    /// A copy in which `result[i][indices[i][j][k]][k] = source[i][j][k]` for `axis` 1; which of several writes stays is not defined.
    public func scatter(axis: Int, indices: Tensor, source: Tensor) -> Tensor { scatterOp(self, axis, indices, source) }
    public func scatter<Value: ScalarValue>(axis: Int, indices: Tensor, value: Value) -> Tensor {
        scatterScalarOp(self, axis, indices, value)
    }

    /// As ``scatter(axis:indices:source:)``, adding instead of replacing.
    public func scatterAdd(axis: Int, indices: Tensor, source: Tensor) -> Tensor { scatterAddOp(self, axis, indices, source) }
    public func scatterAdd_(axis: Int, indices: Tensor, source: Tensor) { scatterAddInPlaceOp.perform(self, axis, indices, source) }

    /// How values that meet in one place are combined.
    public enum ScatterReduction: String, Sendable, CaseIterable {
        case sum
        case product = "prod"
        case mean
        case max = "amax"
        case min = "amin"
    }

    /// As ``scatter(axis:indices:source:)``, combining what meets, with the present elements too where `includingSelf`.
    public func scatterReduce(
        axis: Int, indices: Tensor, source: Tensor, _ reduction: ScatterReduction, includingSelf: Bool = true
    ) -> Tensor {
        scatterReduceOp(self, axis, indices, source, reduction.rawValue, includingSelf)
    }

    /// Slices along an axis at a vector of indices, in its order.
    public func indexSelect(axis: Int, indices: Tensor) -> Tensor { indexSelectOp(self, axis, indices) }

    /// A copy with slices of `scale · source` added along an axis at a vector of indices; repeated indices add up.
    public func indexAdd(axis: Int, indices: Tensor, source: Tensor, scale: Double = 1) -> Tensor {
        indexAddOp(self, axis, indices, source, scale)
    }
    public func indexAdd_(axis: Int, indices: Tensor, source: Tensor, scale: Double = 1) {
        indexAddInPlaceOp.perform(self, axis, indices, source, scale)
    }

    /// A copy with slices along an axis replaced.
    public func indexCopy(axis: Int, indices: Tensor, source: Tensor) -> Tensor { indexCopyOp(self, axis, indices, source) }

    /// A copy with slices along an axis filled with a number.
    public func indexFill<Value: ScalarValue>(axis: Int, indices: Tensor, value: Value) -> Tensor {
        indexFillOp(self, axis, indices, value)
    }
}

// Masks: tensors of .bool that broadcast to the shape of `self`.
extension Tensor {
    /// A copy with `value` where the mask is true.
    public func maskedFill<Value: ScalarValue>(_ mask: Tensor, _ value: Value) -> Tensor { maskedFillOp(self, mask, value) }
    /// `value` has shape `[]`.
    public func maskedFill(_ mask: Tensor, _ value: Tensor) -> Tensor { maskedFillTensorOp(self, mask, value) }
    public func maskedFill_<Value: ScalarValue>(_ mask: Tensor, _ value: Value) { maskedFillInPlaceOp.perform(self, mask, value) }

    /// The elements where the mask is true, as a vector in row-major order.
    public func maskedSelect(_ mask: Tensor) -> Tensor { maskedSelectOp(self, mask) }

    /// A copy with the elements where the mask is true replaced by those of `source`, in order.
    public func maskedScatter(_ mask: Tensor, _ source: Tensor) -> Tensor { maskedScatterOp(self, mask, source) }

    /// Coordinates of the elements that are not zero, `[count, ndim]` (int64).
    public func nonzero() -> Tensor { nonzeroOp(self) }
}

/// `left` where the condition is true, else `right`, broadcasting all three (`torch.where`; the name is MLX Swift's,
/// `where` being a keyword).
public func which(_ condition: Tensor, _ left: Tensor, _ right: Tensor) -> Tensor { whereOp(condition, left, right) }
public func which<Value: ScalarValue>(_ condition: Tensor, _ left: Tensor, _ right: Value) -> Tensor {
    whereScalarRightOp(condition, left, right)
}
public func which<Value: ScalarValue>(_ condition: Tensor, _ left: Value, _ right: Tensor) -> Tensor {
    whereScalarLeftOp(condition, left, right)
}

// Searching and counting.
extension Tensor {
    /// For each value the place where it would be inserted into the ascending last axis of `self` (int64): before equal
    /// elements, or after them with `right`.
    public func searchSorted(_ values: Tensor, right: Bool = false) -> Tensor { searchSortedOp(self, values, false, right) }

    /// `[...]` of class numbers as `[..., classCount]` of zeros and a one (int64); nil takes the largest number plus one.
    public func oneHot(_ classCount: Int? = nil) -> Tensor { oneHotOp(self, classCount ?? -1) }

    /// The distinct elements in ascending order, where each element of `self` stands among them, and how often each occurs.
    public func unique() -> (values: Tensor, inverse: Tensor, counts: Tensor) { triple(uniqueOp.tensors(self, true, true, true)) }

    /// The distinct slices along an axis in lexicographic order, with the inverse and the counts along that axis.
    public func unique(axis: Int) -> (values: Tensor, inverse: Tensor, counts: Tensor) {
        triple(uniqueRowsOp.tensors(self, axis, true, true, true))
    }

    /// Distances between every two rows by the norm of order `order`: `[..., n, d]` and `[..., m, d]` give `[..., n, m]`.
    public func pairwiseDistances(to other: Tensor, order: Double = 2) -> Tensor { cdistOp(self, other, order) }
}

/// Grids of coordinates from vectors: the i-th result varies along axis i.
public func meshgrid(_ vectors: [Tensor]) -> [Tensor] { meshgridOp.tensors(vectors, "ij") }

/// The three results of an operator; after a captured failure there is only a placeholder, given thrice.
func triple(_ tensors: [Tensor]) -> (values: Tensor, inverse: Tensor, counts: Tensor) {
    tensors.count == 3 ? (tensors[0], tensors[1], tensors[2]) : (tensors[0], tensors[0], tensors[0])
}
