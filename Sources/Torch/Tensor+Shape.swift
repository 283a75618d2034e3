private let reshapeOp: Operator = Operator("reshape")
private let permuteOp: Operator = Operator("permute")
private let transposeOp: Operator = Operator("transpose", "int")
private let movedimOp: Operator = Operator("movedim", "int")
private let unsqueezeOp: Operator = Operator("unsqueeze")
private let squeezeOp: Operator = Operator("squeeze", "dim")
private let squeezeAllOp: Operator = Operator("squeeze")
private let expandOp: Operator = Operator("expand")
private let repeatOp: Operator = Operator("repeat")
private let repeatInterleaveOp: Operator = Operator("repeat_interleave", "self_int")
private let flattenOp: Operator = Operator("flatten", "using_ints")
private let narrowOp: Operator = Operator("narrow")
private let selectOp: Operator = Operator("select", "int")
private let flipOp: Operator = Operator("flip")
private let rollOp: Operator = Operator("roll")
private let padOp: Operator = Operator("constant_pad_nd")
private let trilOp: Operator = Operator("tril")
private let triuOp: Operator = Operator("triu")
private let diagonalOp: Operator = Operator("diagonal")
private let diagEmbedOp: Operator = Operator("diag_embed")
private let splitOp: Operator = Operator("split", "Tensor")
private let splitSizesOp: Operator = Operator("split_with_sizes")
private let unbindOp: Operator = Operator("unbind", "int")
private let unfoldOp: Operator = Operator("unfold")
private let catOp: Operator = Operator("cat")
private let stackOp: Operator = Operator("stack")

// Shape operations; views where the memory allows.
extension Tensor {
    /// Same elements in another shape; one length may be -1 for "what remains".
    public func reshaped(_ shape: [Int]) -> Tensor { reshapeOp(self, shape) }
    public func reshaped(_ shape: Int...) -> Tensor { reshapeOp(self, shape) }

    /// Axes in the given order; without an order, reversed.
    public func transposed(_ axes: Int...) -> Tensor { permuteOp(self, axes.isEmpty ? Array((0..<ndim).reversed()) : axes) }
    public func swappedAxes(_ first: Int, _ second: Int) -> Tensor { transposeOp(self, first, second) }

    /// One axis put at another place; the others keep their order.
    public func movedAxis(source: Int, destination: Int) -> Tensor { movedimOp(self, source, destination) }

    /// The last two axes swapped.
    public var mT: Tensor { transposeOp(self, -2, -1) }

    public func expandedDimensions(axis: Int) -> Tensor { unsqueezeOp(self, axis) }
    public func squeezed(axis: Int) -> Tensor { squeezeOp(self, axis) }
    public func squeezed() -> Tensor { squeezeAllOp(self) }

    /// Broadcast to a shape without a copy; -1 keeps an axis.
    public func expanded(to shape: [Int]) -> Tensor { expandOp(self, shape) }

    /// The whole tensor repeated `counts[i]` times along axis `i`.
    public func tiled(_ counts: [Int]) -> Tensor { repeatOp(self, counts) }

    /// Each element repeated along an axis: `a a b b`.
    public func repeated(_ count: Int, axis: Int) -> Tensor { repeatInterleaveOp(self, count, axis) }

    public func flattened(from start: Int = 0, to end: Int = -1) -> Tensor { flattenOp(self, start, end) }

    /// `length` places along an axis from `start`, as a view.
    public func narrowed(axis: Int, start: Int, length: Int) -> Tensor { narrowOp(self, axis, start, length) }

    /// One place along an axis, which is dropped; a view.
    public func selected(axis: Int, index: Int) -> Tensor { selectOp(self, axis, index) }

    public func flipped(axes: [Int]) -> Tensor { flipOp(self, axes) }
    public func rolled(_ shifts: [Int], axes: [Int]) -> Tensor { rollOp(self, shifts, axes) }

    /// Padded with a constant; widths are (before, after) pairs from the last axis backwards, negative ones crop.
    public func padded(_ widths: [(before: Int, after: Int)], value: Double = 0) -> Tensor {
        padOp(self, widths.flatMap { [$0.before, $0.after] }, value)
    }

    /// Elements on and below the diagonal (shifted up by `diagonal`) of the last two axes, zeros elsewhere.
    public func lowerTriangle(diagonal: Int = 0) -> Tensor { trilOp(self, diagonal) }
    public func upperTriangle(diagonal: Int = 0) -> Tensor { triuOp(self, diagonal) }

    public func diagonal(offset: Int = 0, axis1: Int = -2, axis2: Int = -1) -> Tensor { diagonalOp(self, offset, axis1, axis2) }

    /// The last axis put on the diagonal of a new pair of axes.
    public func diagonalEmbedded(offset: Int = 0) -> Tensor { diagEmbedOp(self, offset) }

    /// Pieces of `size` along an axis; the last may be shorter.
    public func split(size: Int, axis: Int = 0) -> [Tensor] { splitOp.tensors(self, size, axis) }
    public func split(sizes: [Int], axis: Int = 0) -> [Tensor] { splitSizesOp.tensors(self, sizes, axis) }

    /// Each place along an axis, which is dropped.
    public func unbound(axis: Int = 0) -> [Tensor] { unbindOp.tensors(self, axis) }

    /// Windows of `size` every `step` along an axis, put in a new last axis; a view.
    public func windows(axis: Int, size: Int, step: Int) -> Tensor { unfoldOp(self, axis, size, step) }
}

/// Joined along an axis that exists.
public func concatenated(_ tensors: [Tensor], axis: Int = 0) -> Tensor { catOp(tensors, axis) }

/// Joined along a new axis.
public func stacked(_ tensors: [Tensor], axis: Int = 0) -> Tensor { stackOp(tensors, axis) }
