import NN
import Torch

/// An ``SFNEBlock`` as a sequence mixer: sequences of S² steps are read as images row by row. It sees the whole sequence, so it is for encoders
/// and classifiers; it has no state, and ``step(_:state:)`` traps.
public final class HyperZZWMixer: Module, SequenceMixer {
    public let block: SFNEBlock

    public var isCausal: Bool { false }

    /// Traps unless the configuration's groups divide the dimensions.
    /// - Parameters:
    ///   - dimensions: channels of the stream, D.
    ///   - layers: of the global slow network.
    ///   - configuration: of the block; its side squared is the length.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dimensions: Int, layers: Int = 2, configuration: SFNEConfiguration, generator: RandomGenerator? = nil) {
        block = SFNEBlock(channels: dimensions, factor: 1, layers: layers, configuration: configuration, generator: generator)
        super.init()
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState { MixerState() }

    /// Masked steps enter as zeros. State and mode make no difference. Traps for another length than S².
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let side: Int = block.configuration.side
        precondition(x.ndim == 3 && x.dim(1) == side * side, "HyperZZWMixer needs \(side * side) steps, not \(x.shape)")
        return block(squareImages(x.masked(by: mask))).output.flattened(from: 2).mT
    }

    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        preconditionFailure("HyperZZWMixer sees whole sequences and has no step")
    }

    public func stateBytes(batch: Int, length: Int) -> Int { 0 }
}
