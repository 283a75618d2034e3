import TestSupport
import Testing
import Torch

/// `0 ..< 24` as `[2, 3, 4]`.
private func grid() -> Tensor { Tensor.arange(24, dtype: .float32, device: .cpu).reshaped(2, 3, 4) }

@Suite(.ownRandomNumbers) struct IndexingTests {
    @Test func positionsDropTheirAxisAndCountFromTheEnd() {
        let x: Tensor = grid()
        #expect(x[1].shape == [3, 4])
        #expect(x[-1].array(Int.self) == Array(12..<24))
        #expect(x[1, 2, 3].item(Int.self) == 23)
        #expect(x[-2, -3, -4].item(Int.self) == 0)
    }

    @Test func rangesAreViews() {
        let x: Tensor = grid()
        let part: Tensor = x[0..., 1..<3]
        #expect(part.shape == [2, 2, 4])
        #expect(part.array(Int.self) == Array(4..<12) + Array(16..<24))
        #expect(part.sharesStorage(with: x))
        #expect(x[1...].array(Int.self) == Array(12..<24))
        #expect(x[0, ..<2].array(Int.self) == Array(0..<8))
        #expect(x[0, ...1].array(Int.self) == Array(0..<8))
        #expect(x[0, 1...2].array(Int.self) == Array(4..<12))
        #expect(x[0, 0, (-2)...].array(Int.self) == [2, 3])
        #expect(x[0, 0, (-3)..<(-1)].array(Int.self) == [1, 2])
        #expect(x[0, 0, ...(-1)].array(Int.self) == [0, 1, 2, 3])
        #expect(x[0, 3..<3].shape == [0, 4])
    }

    @Test func ellipsisAndNewAxis() {
        let x: Tensor = grid()
        #expect(x[.ellipsis, 0].array(Int.self) == [0, 4, 8, 12, 16, 20])
        #expect(x[1, .ellipsis].shape == [3, 4])
        #expect(x[0, .ellipsis, 1].array(Int.self) == [1, 5, 9])
        #expect(x[.newAxis, .ellipsis, .newAxis].shape == [1, 2, 3, 4, 1])
        #expect(x[0..., .newAxis, 1].shape == [2, 1, 4])
    }

    @Test func strides() {
        let x: Tensor = Tensor.arange(10, device: .cpu)
        #expect(x[.stride(from: 1, to: 8, by: 3)].array(Int.self) == [1, 4, 7])
        #expect(x[.stride(from: 1, to: 8, by: 3)].sharesStorage(with: x))
        #expect(x[.stride(by: 4)].array(Int.self) == [0, 4, 8])
        #expect(x[.stride(by: -3)].array(Int.self) == [9, 6, 3, 0])
        #expect(x[.stride(from: 5, to: 2, by: -1)].array(Int.self) == [5, 4, 3])
        #expect(x[.stride(to: -1, by: 4)].array(Int.self) == [0, 4, 8])
    }

    @Test func masks() {
        let x: Tensor = grid()
        #expect(x[x .> 20].array(Int.self) == [21, 22, 23])
        let rows: Tensor = Tensor([true, false, true])
        #expect(x[0..., rows].shape == [2, 2, 4])
        #expect(x[0, rows, 1].array(Int.self) == [1, 9])
        let matrix: Tensor = Tensor([true, false, false, false, false, true], [2, 3])
        #expect(x[matrix].array(Int.self) == [0, 1, 2, 3, 20, 21, 22, 23])
        #expect(x[matrix, 1].array(Int.self) == [1, 21])
    }

    @Test func integerLists() {
        let x: Tensor = grid()
        #expect(x[0, [2, 0, -1], 0].array(Int.self) == [8, 0, 8])
        let rows: Tensor = Tensor([0, 1], [2, 1])
        let columns: Tensor = Tensor([2, 0], [1, 2])
        #expect(x[0, rows, columns].array(Int.self) == [2, 0, 6, 4])
        #expect(x[rows.asType(.int32), .newAxis, 1].shape == [2, 1, 1, 4])
        // Apart from each other: the common axes come first.
        #expect(x[[0, 1], 0..., [1, 2]].shape == [2, 3])
        #expect(x[[0, 1], 0..., [1, 2]].array(Int.self) == [1, 5, 9, 14, 18, 22])
    }

    @Test func assignmentWritesInPlace() {
        let x: Tensor = grid()
        x[x .> 20] = 0
        #expect(x[1, 2].array(Int.self) == [20, 0, 0, 0])
        x[0..., 1] = Tensor([1, 2, 3, 4])
        #expect(x[1, 1].array(Int.self) == [1, 2, 3, 4])
        x[0] = 7
        #expect(x[0].sum().item(Int.self) == 84)
        let scale: Double = 2.5
        x[0, [0, 2], 1...] = scale
        #expect(x[0].array(Float.self) == [7, 2.5, 2.5, 2.5, 7, 7, 7, 7, 7, 2.5, 2.5, 2.5])
        x[1, .stride(by: -1), 0] = Tensor([10, 11, 12])
        #expect(x[1, 0..., 0].array(Int.self) == [12, 11, 10])
        x[1] = Tensor.zeros([1, 1, 3, 4])
        #expect(x[1].sum().item(Int.self) == 0)
        x[1, 0] += 3
        #expect(x[1, 0].array(Int.self) == [3, 3, 3, 3])
    }

    @Test func gradientsFlowThroughViewsCopiesAndAssignments() {
        let x: Tensor = Tensor([1.0, 2.0, 3.0, 4.0]).requiringGrad()
        let picked: Tensor = x[1..<3].square().sum() + x[[0, 0]].sum() + x[Tensor([false, false, false, true])].sum()
        #expect(gradients(of: [picked], withRespectTo: [x])[0].array(Double.self) == [2, 4, 6, 1])

        let filled: Tensor = x * 1.0
        filled[0] = 5.0
        filled[[2]] = x[3...] * 10.0
        #expect(gradients(of: [filled.sum()], withRespectTo: [x])[0].array(Double.self) == [0, 1, 0, 11])
    }

    @Test func outOfRangeNamesIndexAxisAndShape() {
        let x: Tensor = grid()
        func message(_ body: () -> Tensor) -> String {
            do {
                _ = try withTorchErrors(body)
                return ""
            } catch { return "\(error)" }
        }
        #expect(message { x[2] } == "subscript: index 2 is out of range for axis 0 of shape [2, 3, 4]")
        #expect(message { x[0, -4] } == "subscript: index -4 is out of range for axis 1 of shape [2, 3, 4]")
        #expect(message { x[0, 0, 1..<6] } == "subscript: bound 6 of a range is out of range for axis 2 of shape [2, 3, 4]")
        #expect(message { x[0, [0, 3]] } == "subscript: index 3 is out of range for axis 1 of shape [2, 3, 4]")
        #expect(message { x[0, 0, 0, 0] } == "subscript: 4 axes are indexed, but shape [2, 3, 4] has 3")
        #expect(message { x[.ellipsis, .ellipsis] } == "subscript: more than one .ellipsis on shape [2, 3, 4]")
        #expect(message { x[0, Tensor([5])] }.contains("index 5 is out of bounds for dimension 0 with size 3"))
        #expect(message { x[Tensor([0.5])] }.contains("must be of integers or .bool, not float64"))
        #expect(
            message { x[Tensor([true])] } == "subscript: a mask of shape [1] stands at axis 0 of shape [2, 3, 4], where [2] is needed")
    }
}
