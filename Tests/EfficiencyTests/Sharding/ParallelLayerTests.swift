import NN
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// Layers of which each rank holds a share, against the whole layers, in float64.
@Suite(.ownRandomNumbers) struct ParallelLayerTests {
    /// The backward of each function is another's forward: copy and sum, join and divide.
    @Test(arguments: [2, 4]) func conjugatePairs(mp: Int) throws {
        let results: [[Double]] = try ProcessGroup.onThreads(mp) { group in
            /// The gradient of `f` for given gradients of its output.
            func backward(_ columns: Int, _ weights: Tensor, _ f: (Tensor) -> Tensor) -> Tensor {
                let x: Tensor = shardNumbers([3, columns], seed: 20).requiringGrad()
                return gradients(of: [f(x)], withRespectTo: [x], outputGradients: [weights])[0]
            }
            let own: Tensor = shardNumbers([3, 4], seed: 40 + UInt64(group.rank))
            let all: [Tensor] = (0..<mp).map { shardNumbers([3, 4], seed: 40 + UInt64($0)) }
            let joined: Tensor = concatenated(all, axis: 1)
            let sum: Tensor = all.dropFirst().reduce(all[0], +)
            return [
                shardDeviation(backward(4, own) { copiedToRanks($0, group) }, sum),
                shardDeviation(backward(4, all[0]) { summedOverRanks($0, group) }, all[0]),
                shardDeviation(backward(4, joined) { gatheredFromRanks($0, group) }, own),
                shardDeviation(backward(4 * mp, own) { dividedAmongRanks($0, group) }, joined),
                shardDeviation(summedOverRanks(own, group), sum), shardDeviation(gatheredFromRanks(own, group), joined),
            ]
        }
        for rank in results { for value in rank { #expect(value < 1e-14) } }
    }

    /// Copy and sum around a nonlinear layer: finite differences of the whole against the gradient on each rank.
    @Test func gradientOfAPairByFiniteDifferences() throws {
        let worst: [Double] = try ProcessGroup.onThreads(2) { group in
            let x: Tensor = shardNumbers([2, 4], seed: 9).requiringGrad()
            let share: Tensor = shardNumbers([4, 3], seed: 60 + UInt64(group.rank))
            func loss(_ x: Tensor) -> Tensor { summedOverRanks(copiedToRanks(x, group).matmul(share).tanh(), group).square().sum() }
            let gradient: [Double] = gradients(of: [loss(x)], withRespectTo: [x])[0].flattened().array(Double.self)
            return gradient.indices.reduce(0) { worst, place in
                let steps: [Double] = [1e-5, -1e-5].map { step in
                    var values: [Double] = x.detached().flattened().array(Double.self)
                    values[place] += step
                    return noGrad { loss(Tensor(values, [2, 4], dtype: .float64)) }.item(Double.self)
                }
                return max(worst, abs((steps[0] - steps[1]) / 2e-5 - gradient[place]))
            }
        }
        for rank in worst { #expect(rank < 1e-6) }
    }

    @Test(arguments: [1, 2, 4], [DType.float32, .float64]) func pairIsTheDensePair(mp: Int, dtype: DType) throws {
        let results: [[Double]] = try ProcessGroup.onThreads(mp) { group in
            let up: Linear = shardRandomized(Linear(6, 8), seed: 1, dtype: dtype)
            let down: Linear = shardRandomized(Linear(8, 5), seed: 2, dtype: dtype)
            let column: ColumnParallelLinear = ColumnParallelLinear(up, group: group)
            let row: RowParallelLinear = RowParallelLinear(down, group: group)
            let x: Tensor = shardNumbers([3, 6], dtype: dtype).requiringGrad()
            let wanted: Tensor = down(up(x).gelu())
            let found: Tensor = row(column(x).gelu())
            let dense: [Tensor] = gradients(
                of: [wanted.square().sum()], withRespectTo: [x, up.weight, down.weight] + [up.bias, down.bias].compactMap { $0 })
            let own: [Tensor] = gradients(
                of: [found.square().sum()], withRespectTo: [x, column.weight, row.weight] + [column.bias, row.bias].compactMap { $0 })
            let axes: [Int?] = [nil, 0, 1, 0, nil]
            let pairs: [(Tensor, Tensor)] = zip(zip(own, dense), axes).map { pair, axis in
                (pair.0, ShardSpec(axis: axis).piece(of: pair.1, rank: group.rank, shards: mp))
            }
            return [shardDeviation(found, wanted)] + pairs.map { shardDeviation($0.0, $0.1) }
        }
        for rank in results { for value in rank { #expect(value < (dtype == .float64 ? 1e-10 : 1e-5)) } }
    }

    @Test func columnsAreJoinedAndRowsDivideWholeInputs() throws {
        let results: [[Double]] = try ProcessGroup.onThreads(2) { group in
            let layer: Linear = shardRandomized(Linear(6, 12), seed: 1)
            let x: Tensor = shardNumbers([3, 6]).requiringGrad()
            func compare(_ replaced: Linear) -> [Double] {
                let (wanted, found): (Tensor, Tensor) = (layer(x), replaced(x))
                let weights: Tensor = shardNumbers(wanted.shape, seed: 4)
                let dense: Tensor = gradients(of: [(wanted * weights).sum()], withRespectTo: [x])[0]
                let own: Tensor = gradients(of: [(found * weights).sum()], withRespectTo: [x])[0]
                return [shardDeviation(found, wanted), shardDeviation(own, dense)]
            }
            return compare(ColumnParallelLinear(layer, group: group, output: .joined))
                + compare(ColumnParallelLinear(layer, group: group, parts: 3, output: .joined))
                + compare(RowParallelLinear(layer, group: group))
        }
        for rank in results { for value in rank { #expect(value < 1e-12) } }
    }

    /// A fused matrix cut straight through would mix queries, keys and values.
    @Test func fusedBlocksAreCutOneByOne() {
        let full: Tensor = Tensor.arange(12, dtype: .float64).reshaped(12, 1)
        let spec: ShardSpec = ShardSpec(axis: 0, parts: 3)
        #expect(spec.piece(of: full, rank: 1, shards: 2).flattened().array(Double.self) == [2, 3, 6, 7, 10, 11])
        let pieces: [Tensor] = (0..<2).map { spec.piece(of: full, rank: $0, shards: 2) }
        #expect(spec.assembled(pieces).isEqual(to: full))
        let turned: ShardSpec = ShardSpec(axis: 1, isTransposed: true)
        let matrix: Tensor = shardNumbers([3, 4])
        #expect(turned.piece(of: matrix, rank: 0, shards: 2).shape == [2, 3])
        #expect(turned.assembled((0..<2).map { turned.piece(of: matrix, rank: $0, shards: 2) }).isEqual(to: matrix))
    }

    @Test(arguments: [1, 2, 4]) func crossEntropyOfDividedClasses(mp: Int) throws {
        let results: [[Double]] = try ProcessGroup.onThreads(mp) { group in
            let logits: Tensor = (shardNumbers([5, 8]) * 30).requiringGrad()
            let targets: Tensor = Tensor([Int64(0), 7, 3, -100, 4], [5], dtype: .int64)
            let wanted: Tensor = crossEntropy(logits, targets)
            let own: Tensor = ShardSpec(axis: 1).piece(of: logits, rank: group.rank, shards: mp).requiringGrad()
            let found: Tensor = vocabularyParallelCrossEntropy(own, targets, group)
            let dense: Tensor = gradients(of: [wanted], withRespectTo: [logits])[0]
            let gradient: Tensor = gradients(of: [found], withRespectTo: [own])[0]
            return [
                shardDeviation(found, wanted), shardDeviation(gradient, ShardSpec(axis: 1).piece(of: dense, rank: group.rank, shards: mp)),
            ]
        }
        for rank in results { for value in rank { #expect(value < 1e-10) } }
    }

    @Test func tables() throws {
        let results: [[Double]] = try ProcessGroup.onThreads(2) { group in
            let table: Embedding = shardRandomized(Embedding(8, 6, paddingIndex: 5), seed: 1)
            let x: Tensor = shardNumbers([3, 6]).requiringGrad()
            let indices: Tensor = Tensor([Int64(0), 7, 5, 3, 3], [5], dtype: .int64)
            func compare(_ shared: Embedding, axis: Int) -> [Double] {
                func value(_ table: Embedding) -> Tensor { table(indices).square().sum() + table.asLinear(x).sin().sum() }
                let dense: [Tensor] = gradients(of: [value(table)], withRespectTo: [x, table.weight])
                let own: [Tensor] = gradients(of: [value(shared)], withRespectTo: [x, shared.weight])
                let piece: Tensor = ShardSpec(axis: axis).piece(of: dense[1], rank: group.rank, shards: 2)
                return [
                    shardDeviation(shared(indices), table(indices)), shardDeviation(shared.asLinear(x), table.asLinear(x)),
                    shardDeviation(own[0], dense[0]),
                    shardDeviation(own[1], piece),
                ]
            }
            return compare(VocabParallelEmbedding(table, group: group), axis: 0)
                + compare(FeatureParallelEmbedding(table, group: group), axis: 1)
        }
        for rank in results { for value in rank { #expect(value < 1e-10) } }
    }
}
