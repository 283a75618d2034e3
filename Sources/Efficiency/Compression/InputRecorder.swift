import NN
import Torch

/// Stands in for a dense layer while calibration data runs, and sums the outer products of what enters.
///
/// Recorders of one block share a ``Pass``: only those that see the pass's first input record, which are the layers that nothing in the block comes
/// before. They are found without knowing the block, and their inputs are one matrix.
final class InputRecorder: Module, LinearMap {
    /// What the recorders of one block have in common during one run of it.
    final class Pass {
        /// The input of the first layer that was called.
        fileprivate var first: Tensor?
        fileprivate var products: Tensor?
        fileprivate var rows: Int = 0

        /// To be called before each run of the block.
        func begin() { first = nil }

        /// H = (2 / N) Σ x xᵀ of the inputs seen, float64 `[in, in]`; nil where none was.
        var hessian: Tensor? { products.map { $0 * (2 / Double(max(rows, 1))) } }
    }

    let dense: any LinearMap
    private let pass: Pass
    /// Whether this layer's inputs are the recorded ones.
    private(set) var sawFirstInput: Bool = false

    init(_ dense: any LinearMap, pass: Pass) {
        self.dense = dense
        self.pass = pass
        super.init()
    }

    var inputDimensions: Int { dense.inputDimensions }
    var outputDimensions: Int { dense.outputDimensions }
    var bias: Tensor? { dense.bias }
    func denseWeight() -> Tensor { dense.denseWeight() }

    func callAsFunction(_ x: Tensor) -> Tensor {
        if pass.first == nil {
            pass.first = x
            let rows: Tensor = x.detached().reshaped(-1, x.dim(-1)).asType(.float64)
            pass.products = (pass.products.map { $0 + rows.mT.matmul(rows) }) ?? rows.mT.matmul(rows)
            pass.rows += rows.dim(0)
        }
        if pass.first === x { sawFirstInput = true }
        return dense(x)
    }
}
