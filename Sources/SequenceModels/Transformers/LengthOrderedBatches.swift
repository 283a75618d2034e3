import Torch

/// Token lists that are read side by side with others of about their length, so that little is padded.
enum LengthOrderedBatches {
    /// Applies `read` to batches of token lists, without a gradient, and puts the rows back into the order of the lists.
    /// - Parameters:
    ///   - lists: one or more, of any lengths.
    ///   - rows: most lists of a batch.
    ///   - read: from tokens `[B, T]`, each list padded at its end with id 0, and the lists' lengths, to `[B, D]`.
    /// - Returns: `[lists, D]`.
    static func map(_ lists: [[Int]], rows: Int, device: Device, _ read: (_ tokens: Tensor, _ lengths: [Int]) -> Tensor) -> Tensor {
        let order: [Int] = lists.indices.sorted { lists[$0].count < lists[$1].count }
        let batches: [Tensor] = stride(from: 0, to: order.count, by: rows).map { start in
            let batch: [[Int]] = order[start..<min(start + rows, order.count)].map { lists[$0] }
            let longest: Int = batch.reduce(1) { max($0, $1.count) }
            let padded: [Int] = batch.flatMap { $0 + Array(repeating: 0, count: longest - $0.count) }
            return noGrad { read(Tensor(padded, [batch.count, longest], device: device), batch.map(\.count)) }
        }
        let places: Tensor = Tensor(order, [order.count], device: device).argSort(axis: 0)
        return concatenated(batches, axis: 0).indexSelect(axis: 0, indices: places)
    }
}
