import NN
import Torch

/// Gated linear attention that reads a grid in several orders and adds up what it read, before the norm: what a recurrence with decays needs
/// for a token to see all of an image, and ``LightNetAttention`` does not.
///
/// All orders share the mixer's projections. Not causal from two scans on; names in checkpoints are those of the mixer.
public final class MultiScan: Module, SequenceMixer {
    /// The order in which a scan reads.
    private enum Order { case rows, reversedRows, columns, reversedColumns }

    @ModuleInfo(key: "") public var mixer: GatedLinearAttention
    /// Sizes of the grid, rows and columns; nil where only the order of time matters.
    public let gridShape: [Int]?
    public let scans: Int

    public var isCausal: Bool { scans == 1 }
    public var stepUsesPosition: Bool { mixer.stepUsesPosition }

    /// Traps for another number of scans than 1, 2 or 4, for 4 without a grid of two axes, and for a mixer with short convolutions,
    /// which would have to be scanned too.
    /// - Parameters:
    ///   - mixer: does the scanning.
    ///   - scans: 1 is the mixer itself, 2 adds the reverse order, 4 also column after column in both orders.
    ///   - gridShape: rows and columns of the grid that tokens lie on, row by row.
    public init(_ mixer: GatedLinearAttention, scans: Int, gridShape: [Int]? = nil) {
        precondition([1, 2, 4].contains(scans), "MultiScan scans 1, 2 or 4 times, not \(scans)")
        precondition(scans < 4 || gridShape?.count == 2, "MultiScan: 4 scans need a grid of two axes, not \(gridShape ?? [])")
        precondition(mixer.configuration.convolutionWidth == nil, "MultiScan does not scan short convolutions")
        self.scans = scans
        self.gridShape = gridShape
        super.init()
        self.mixer = mixer
    }

    private var orders: [Order] { Array([.rows, .reversedRows, .columns, .reversedColumns][..<scans]) }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        isCausal ? mixer.initialState(batch: batch, dtype: dtype, device: device) : MixerState()
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        if isCausal { return mixer(x, mask: mask, state: &state, mode: mode) }
        var none: MixerState?
        let signals: GatedLinearAttention.Signals = mixer.signals(x, mask: mask, state: &none)
        let (length, batch): (Int, Int) = (x.dim(1), x.dim(0))
        let indices: [Tensor] = orders.map { order(of: $0, length: length, device: x.device) }
        // All orders side by side in one batch.
        func scanned(_ tensor: Tensor) -> Tensor { concatenated(indices.map { tensor.indexSelect(axis: 1, indices: $0) }) }
        let outputs: Tensor = gatedLinearAttention(
            q: scanned(signals.query), k: scanned(signals.key), v: scanned(signals.value), logGate: scanned(signals.logGate),
            mask: mask.map(scanned), mode: mode
        ).output
        let inPlace: [Tensor] = zip(outputs.split(size: batch), indices).map { $0.indexSelect(axis: 1, indices: $1.argSort()) }
        return mixer.finished(inPlace.dropFirst().reduce(inPlace[0], +), from: x)
    }

    /// The places of tokens in the order in which they are read, `[T]`.
    private func order(of order: Order, length: Int, device: Device) -> Tensor {
        let places: Tensor = .arange(length, device: device)
        switch order {
        case .rows: return places
        case .reversedRows: return places.flipped(axes: [0])
        case .columns: return columns(places)
        case .reversedColumns: return columns(places).flipped(axes: [0])
        }
    }

    private func columns(_ places: Tensor) -> Tensor {
        guard let gridShape, gridShape[0] * gridShape[1] == places.count else {
            preconditionFailure("MultiScan: \(places.count) tokens do not fill the grid \(gridShape ?? [])")
        }
        return places.reshaped(gridShape).mT.flattened()
    }

    public func stateBytes(batch: Int, length: Int) -> Int { isCausal ? mixer.stateBytes(batch: batch, length: length) : 0 }
}

/// ``MultiScan`` around a mixer: `multiScan(mixer, directions: 2)` reads forwards and backwards.
public func multiScan(_ mixer: GatedLinearAttention, directions: Int, gridShape: [Int]? = nil) -> MultiScan {
    MultiScan(mixer, scans: directions, gridShape: gridShape)
}
