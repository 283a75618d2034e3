import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The delta rule as an associative memory: what the paper says that a write and a read do.
@Suite(.ownRandomNumbers) struct DeltaRuleTests {
    private static let (keys, values): (Int, Int) = (8, 5)

    /// One head, orthonormal keys that are the unit vectors, random values.
    private func call(keys order: [Int], values: Tensor, beta: Double, initialState: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        let k: Tensor = unitKeys(order)
        let strengths: Tensor = .full([1, order.count, 1], beta, dtype: .float64, device: .cpu)
        return deltaRule(q: k, k: k, v: values, beta: strengths, scale: 1, initialState: initialState, mode: .chunkwise(4))
    }

    private func unitKeys(_ order: [Int]) -> Tensor {
        let rows: [[Double]] = order.map { key in (0..<Self.keys).map { $0 == key ? 1 : 0 } }
        return Tensor(rows.flatMap { $0 }, [1, order.count, 1, Self.keys], device: .cpu)
    }

    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func orthonormalKeysRetrieveExactly() {
        let v: Tensor = normal([1, Self.keys, 1, Self.values], seed: 1)
        let state: Tensor = call(keys: Array(0..<Self.keys), values: v, beta: 1).state
        // The keys are the unit vectors in order, so the state's rows are the values.
        #expect(relativeError(state.reshaped(Self.keys, Self.values), v.reshaped(Self.keys, Self.values)) < 1e-12)
    }

    @Test func rewritingAKeyReplacesItsValue() {
        let order: [Int] = [0, 1, 2, 1, 0]
        let v: Tensor = normal([1, order.count, 1, Self.values], seed: 2)
        let output: Tensor = call(keys: order, values: v, beta: 1).output
        #expect(relativeError(output, v) < 1e-12)
        // An additive memory gives the sum of all that was written instead.
        let k: Tensor = unitKeys(order)
        let additive: Tensor = linearAttention(q: k, k: k, v: v, scale: 1, mode: .chunkwise(4)).output
        let (first, last): (Tensor, Tensor) = (v.selected(axis: 1, index: 0), v.selected(axis: 1, index: 4))
        #expect(relativeError(additive.selected(axis: 1, index: 4), first + last) < 1e-12)
    }

    @Test func zeroStrengthLeavesTheState() {
        let start: Tensor = normal([1, 1, Self.keys, Self.values], seed: 3)
        let v: Tensor = normal([1, 6, 1, Self.values], seed: 4)
        let state: Tensor = call(keys: [0, 1, 2, 3, 4, 5], values: v, beta: 0, initialState: start).state
        #expect(state.isEqual(to: start))
    }

    @Test(arguments: [0.3, 1.0, 1.7, 2.0])
    func erasingNeverExpands(beta: Double) {
        let raw: Tensor = normal([1, 40, 1, Self.keys], seed: 5)
        let k: Tensor = raw / raw.norm(axes: [3], keepDims: true)
        var state: Tensor = normal([1, 1, Self.keys, Self.values], seed: 6)
        let nothing: Tensor = .zeros([1, 10, 1, Self.values], dtype: .float64, device: .cpu)
        for start in stride(from: 0, to: 40, by: 10) {
            let piece: Tensor = k.narrowed(axis: 1, start: start, length: 10)
            let next: Tensor = deltaRule(
                q: piece, k: piece, v: nothing, beta: .full([1, 10, 1], beta, dtype: .float64, device: .cpu), initialState: state,
                mode: .chunkwise(4)
            ).state
            #expect(next.norm().item(Double.self) <= state.norm().item(Double.self) * (1 + 1e-12))
            state = next
        }
    }

    @Test func transitionEigenvaluesAreOneAndOneMinusBeta() {
        // From the identity as state and nothing to write, one step leaves I − β k kᵀ.
        let raw: Tensor = normal([1, 1, 1, Self.keys], seed: 7)
        let k: Tensor = raw / raw.norm()
        let identity: Tensor = Tensor.eye(Self.keys, dtype: .float64, device: .cpu).reshaped(1, 1, Self.keys, Self.keys)
        let after: Tensor = deltaRule(
            q: k, k: k, v: k.zerosLike(), beta: .full([1, 1, 1], 0.7, dtype: .float64, device: .cpu), initialState: identity,
            mode: .chunkwise(1)
        ).state.reshaped(Self.keys, Self.keys)
        let key: Tensor = k.reshaped(Self.keys, 1)
        #expect(relativeError(after.matmul(key), key * 0.3) < 1e-12)
        let trace: Double = after.diagonal().sum().item()
        #expect(abs(trace - (Double(Self.keys) - 0.7)) < 1e-12)
    }

    @Test func equalKeysAverageExponentially() {
        let v: Tensor = normal([1, 7, 1, Self.values], seed: 8)
        let state: Tensor = call(keys: Array(repeating: 3, count: 7), values: v, beta: 0.5).state
        var average: Tensor = .zeros([Self.values], dtype: .float64, device: .cpu)
        for value in v.reshaped(7, Self.values).unbound() { average = average.interpolated(to: value, weight: 0.5) }
        #expect(relativeError(state.reshaped(Self.keys, Self.values).selected(axis: 0, index: 3), average) < 1e-12)
    }

    @Test func triangularInverseIsTheRowRecursion() {
        let size: Int = 9
        let matrix: Tensor = normal([2, size, size], seed: 9)
        // Row i of the inverse is e_i minus the combination of earlier rows that row i of the matrix names.
        var rows: [Tensor] = []
        let identity: Tensor = Tensor.eye(size, dtype: .float64, device: .cpu)
        for i in 0..<size {
            var row: Tensor = identity.selected(axis: 0, index: i).expanded(to: [2, size])
            for j in 0..<i { row = row - matrix.selected(axis: 1, index: i).narrowed(axis: 1, start: j, length: 1) * rows[j] }
            rows.append(row)
        }
        #expect(relativeError(DeltaRuleChunks.unitTriangularInverse(matrix), stacked(rows, axis: 1)) < 1e-12)
    }
}
