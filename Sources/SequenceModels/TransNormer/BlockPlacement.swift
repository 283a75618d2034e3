import Torch

/// Where the tokens of a call stand among blocks of equal length, when the first block was begun by earlier calls.
///
/// Only real tokens take a place, so that rows of a batch may stand at different places of their blocks. All tokens that are masked share one
/// slot behind the last block.
struct BlockPlacement {
    /// Slots of a block, w.
    let block: Int
    /// Slots of all blocks: enough for the tokens, and one more block for the next call to go on in.
    let length: Int
    /// The slot of each token, `[B, T]` (int64).
    private let slots: Tensor
    /// The slot at which the block begins that the next token goes into, `[B, 1]`.
    private let openBlock: Tensor
    /// Tokens in that block, `[B]`.
    let filled: Tensor

    /// - Parameters:
    ///   - filled: tokens of the open block before the call, `[B]` (int64).
    ///   - mask: `[B, T]`, 1 for real tokens; nil when all are.
    ///   - tokens: T.
    ///   - block: w.
    init(filled: Tensor, mask: Tensor?, tokens: Int, block: Int) {
        let batch: Int = filled.dim(0)
        let real: Tensor = mask.map { ($0 .!= 0).asType(.int64) } ?? .ones([batch, tokens], dtype: .int64, device: filled.device)
        let ends: Tensor = real.cumulativeSum(axis: 1) + filled.expandedDimensions(axis: 1)
        let total: Tensor = ends.narrowed(axis: 1, start: tokens - 1, length: 1)
        self.block = block
        length = ((block - 1 + tokens) / block + 1) * block
        slots = which(real .> 0, ends - 1, length)
        openBlock = total.floorDivided(by: block) * block
        self.filled = (total - openBlock).squeezed(axis: 1)
    }

    /// Tokens `[B, T, H, D]` at their slots, `[B, length, H, D]`, behind the open block's `[B, w, H, D]`; zeros elsewhere.
    func place(_ tokens: Tensor, after open: Tensor) -> Tensor {
        let base: Tensor = open.asType(tokens.dtype).padded([(0, 0), (0, 0), (0, length + 1 - block)])
        return base.scatter(axis: 1, indices: spread(slots, over: tokens), source: tokens).narrowed(axis: 1, start: 0, length: length)
    }

    /// What stands at the tokens' slots: `[B, length, H, D]` to `[B, T, H, D]`, zeros for masked tokens.
    func tokens(of placed: Tensor) -> Tensor {
        placed.padded([(0, 0), (0, 0), (0, 1)]).gather(axis: 1, indices: spread(slots, over: placed))
    }

    /// The block that the next token goes into, `[B, w, H, D]`.
    func open(of placed: Tensor) -> Tensor {
        placed.gather(axis: 1, indices: spread(openBlock + .arange(block, device: openBlock.device), over: placed))
    }

    /// Indices `[B, N]` for all heads and channels of `[B, ·, H, D]`.
    private func spread(_ indices: Tensor, over tensor: Tensor) -> Tensor {
        indices.reshaped(indices.shape + [1, 1]).expanded(to: indices.shape + tensor.shape[2...])
    }
}
