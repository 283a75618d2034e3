import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct ErrorTests {
    @Test func theFirstFailureIsThrownWithOperatorAndShapes() {
        let error: TorchError? = #expect(throws: TorchError.self) {
            try withTorchErrors {
                let product: Tensor = Tensor.ones([2, 3]).matmul(Tensor.ones([4, 5]))
                return product + Tensor.ones([7])
            }
        }
        #expect(error?.description == "matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")
    }

    @Test func nestedCapturesKeepTheirOwn() throws {
        let inner: Bool = try withTorchErrors {
            (try? withTorchErrors { Tensor.ones([2]) + Tensor.ones([3]) }) == nil
        }
        #expect(inner)
        #expect(try withTorchErrors { Tensor.ones([2]).sum().item(Int.self) } == 2)
    }

    @Test func theBodysOwnErrorPasses() {
        struct Own: Error {}
        #expect(throws: Own.self) { try withTorchErrors { throw Own() } }
    }

    @Test func inPlaceAndListOperatorsFailToo() {
        #expect(throws: TorchError.self) { try withTorchErrors { Tensor.ones([2]).add_(Tensor.ones([3])) } }
        #expect(throws: TorchError.self) { try withTorchErrors { Tensor.ones([4]).split(sizes: [1, 2]) } }
        #expect(throws: TorchError.self) { try withTorchErrors { concatenated([Tensor.ones([2]), Tensor.ones([2, 2])]) } }
        #expect(throws: TorchError.self) { try withTorchErrors { Tensor.ones([2, 3]).svd().s + Tensor.ones([7]) } }
    }
}

/// Calls that trap, in functions of their own: the exit tests' bodies are generated code without a line of this file.
private enum Trapping {
    static let productLine: Int = #line + 1
    static func product() -> Tensor { Tensor.ones([2, 3]).matmul(Tensor.ones([4, 5])) }

    static let indexLine: Int = #line + 1
    static func index() -> Tensor { Tensor.ones([2, 3])[0, 5] }
}

/// What a trap writes before the process ends.
@Suite(.ownRandomNumbers) struct TrapTests {
    private func expectText(_ result: ExitTest.Result?, _ parts: [String], at location: SourceLocation = #_sourceLocation) {
        let text: String = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        for part in parts { #expect(text.contains(part), "\(text.prefix(600))", sourceLocation: location) }
    }

    @Test func wrongShapesNameTheOperatorBothShapesAndTheCallSite() async {
        let result: ExitTest.Result? = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Trapping.product()
        }
        expectText(
            result, ["matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "ErrorTests.swift:\(Trapping.productLine) in"])
    }

    @Test func aWrongIndexNamesItsAxisShapeAndCallSite() async {
        let result: ExitTest.Result? = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Trapping.index()
        }
        expectText(
            result,
            ["subscript: index 5 is out of range for axis 1 of shape [2, 3]", "(called at ", "ErrorTests.swift:\(Trapping.indexLine) in"])
    }
}
