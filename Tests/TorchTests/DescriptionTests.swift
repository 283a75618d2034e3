import Foundation
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct DescriptionTests {
    @Test func scalarsEmptyAndKinds() {
        #expect("\(Tensor(3.25))" == "Tensor(3.25, dtype: float64)")
        #expect("\(Tensor(-7))" == "Tensor(-7, dtype: int64)")
        #expect("\(Tensor.zeros([0]))" == "Tensor([], dtype: float32)")
        #expect("\(Tensor.zeros([0, 3]))" == "Tensor([], shape: [0, 3], dtype: float32)")
        #expect("\(Tensor([true, false]))" == "Tensor([ true, false], dtype: bool)")
        #expect("\(Tensor([0.5, 2.0], dtype: .bfloat16))" == "Tensor([0.5, 2. ], dtype: bfloat16)")
    }

    @Test func matricesLineUp() {
        let x: Tensor = Tensor([0, 1.5, -2, 1.0 / 3] as [Float], [2, 2])
        let expected: String = """
            Tensor([[ 0.    ,  1.5   ],
                    [-2.    ,  0.3333]], dtype: float32)
            """
        #expect("\(x)" == expected)
    }

    @Test func largeTensorsAreSummarised() {
        let text: String = "\(Tensor.arange(2000).reshaped(1000, 2))"
        #expect(text.hasPrefix("Tensor([[   0,    1],\n        [   2,    3],\n        [   4,    5],\n        ...,\n"))
        #expect(text.hasSuffix("[1998, 1999]], shape: [1000, 2], dtype: int64)"))
        #expect(!"\(Tensor.zeros([1000]))".contains("..."))
    }

    /// Values and shape, in Swift's and Python's spelling alike.
    static let samples: [(values: [Double], shape: [Int], dtype: DType)] = [
        ([1, 2.5, .nan, .infinity, -.infinity], [5], .float32),
        ([1e-5, 2.5, .nan, -.infinity], [4], .float64),
        ([0.1, 0.123456, 100], [3], .float64),
        ([123456.789, 0.5, 1e-3], [3], .float64),
        ([0.1, 1e10], [2], .float32),
        ([99999.99999, 1], [2], .float64),
        ([-0.0, 0.99996], [2], .float64),
        ([1.0 / 3, 2.0 / 3, 1e8], [3], .float32),
        ([1, -2, 300, -4000], [2, 2], .int64),
        ((0..<40).map { Double($0) * 1.5 }, [40], .float64),
        ((0..<60).map { Double($0) * 0.37 }, [2, 30], .float32),
        ((0..<24).map { Double($0) - 11 }, [2, 3, 4], .float32),
        ((0..<24).map { Double($0) }, [2, 2, 3, 2], .int32),
        ((0..<2000).map { Double($0) }, [40, 50], .float64),
        ((0..<4004).map { Double($0) / 8 }, [1001, 2, 2], .float32),
        ((0..<1001).map { Double($0) }, [1001], .int64),
    ]

    @Test(.enabled(if: PythonPeer.has("numpy"), "needs the Python package numpy: make test installs it"))
    func numbersAreLaidOutAsByNumPy() throws {
        let cases: [String] = Self.samples.map { sample in
            let numbers: String = sample.values.map { $0.isNaN ? "nan" : $0.isInfinite ? ($0 < 0 ? "-inf" : "inf") : "\($0)" }.joined(
                separator: ",")
            return "([\(numbers)], \(sample.shape), '\(sample.dtype)')"
        }
        let script: String = """
            import numpy as np
            from numpy import nan, inf
            np.set_printoptions(precision=4)
            for values, shape, dtype in [\(cases.joined(separator: ",\n"))]:
                a = np.array(values).astype(dtype).reshape(shape)
                print(np.array2string(a, separator=", ", prefix="Tensor("), end="\\0")
            """
        let expected: [String] = try PythonPeer.run(script).split(separator: "\0").map(String.init)
        #expect(expected.count == Self.samples.count)
        for (sample, text) in zip(Self.samples, expected) {
            let printed: String = "\(Tensor(sample.values, sample.shape, dtype: sample.dtype))"
            #expect(printed.hasPrefix("Tensor(" + text + ", "), "\(printed)\nNumPy:\n\(text)")
        }
    }

    @Test(.enabled(if: PythonPeer.has("numpy"), "needs the Python package numpy: make test installs it"))
    func complexNumbersAreLaidOutAsByNumPy() throws {
        let script: String = """
            import numpy as np
            np.set_printoptions(precision=4)
            print(np.array2string(np.array([1+2j, 3.5-1j, complex(-0.25, 1/3)]), separator=", "), end="")
            """
        let z: Tensor = Tensor([1, 2, 3.5, -1, -0.25, 1.0 / 3], [3, 2]).viewAsComplex()
        #expect("\(z)" == "Tensor(\(try PythonPeer.run(script)), dtype: complex128)")
    }
}
