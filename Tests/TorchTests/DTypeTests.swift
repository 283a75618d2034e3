import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct DTypeTests {
    @Test(arguments: DType.allCases) func smallIntegersSurviveEveryType(_ dtype: DType) {
        let values: [Double] = dtype == .bool ? [0, 1, 1] : [0, 1, 100]
        let x: Tensor = Tensor(values).asType(dtype)
        #expect(x.dtype == dtype)
        #expect(x.byteCount == 3 * dtype.byteCount)
        let back: Tensor = dtype.isComplex ? x.real() : x
        #expect(back.asType(.float64).array(Double.self) == values)
    }

    @Test func reducedTypesRoundAsTheyShould() {
        let third: Tensor = Tensor([1.0 / 3, -0x1p100, 70000, 1.00390625])
        #expect(third.asType(.bfloat16).array(Float.self) == [0.333984375, -0x1p100, 70144, 1])
        #expect(third.asType(.float16).array(Float.self) == [0.333251953125, -.infinity, .infinity, 1.00390625])
        #expect(third[..<1].asType(.float32).array(Float.self) == [Float(1.0 / 3)])
        #expect(third[..<1].asType(.float64).array(Double.self) == [1.0 / 3])
        #expect(Tensor([1.9, -1.9, 127]).asType(.int8).array(Int8.self) == [1, -1, 127])
        #expect(third.asType(.float64) === third)
    }

    @Test func arithmeticPromotes() {
        let half: Tensor = Tensor([1.0], dtype: .float16)
        #expect((half * 2).dtype == .float16)
        #expect((half + Tensor([1 as Float])).dtype == .float32)
        #expect((Tensor([1]) * 1.5).dtype == .float32)
        #expect((Tensor([1]) / Tensor([2])).array(Float.self) == [0.5])
        #expect((Tensor([1 as Float]) * Complex(0, 1)).dtype == .complex64)
    }

    @Test func complexPartsAndModulus() {
        let z: Tensor = Tensor([3.0, 4.0, 0.0, -1.0], [2, 2]).viewAsComplex()
        #expect(z.dtype == .complex128)
        #expect(z.abs().array(Double.self) == [5, 1])
        #expect(z.real().array(Double.self) == [3, 0])
        #expect(z.imaginary().array(Double.self) == [4, -1])
        #expect((z * z.conjugate()).real().array(Double.self) == [25, 1])
        #expect(z.angle()[1].item(Double.self) == -.pi / 2)
        #expect((z * Complex(0, 1)).viewAsReal().array(Double.self) == [-4, 3, 1, 0])
    }
}
