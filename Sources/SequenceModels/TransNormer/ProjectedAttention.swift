import NN
import Torch

/// What the attentions of ``TransNormer`` and their baseline share: projections of queries, keys, values and outputs, all with a bias, and positions
/// that turn queries and keys.
///
/// Names in checkpoints: `q_proj`, `k_proj`, `v_proj`, `o_proj` and `lrpe`.
public class ProjectedAttention: Module {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    @ModuleInfo(key: "lrpe") public var position: LRPE?
    public let heads: Int
    public var stepUsesPosition: Bool { position != nil }

    /// Projections start as N(0, 0.02²) with biases 0. Traps unless the channels divide into the heads.
    init(dimensions: Int, heads: Int, position: LRPE?, generator: RandomGenerator?) {
        self.heads = heads
        super.init()
        precondition(heads > 0 && dimensions % heads == 0, "\(type(of: self)): \(dimensions) channels do not divide into \(heads) heads")
        queryProjection = Linear(dimensions, dimensions)
        keyProjection = Linear(dimensions, dimensions)
        valueProjection = Linear(dimensions, dimensions)
        outputProjection = Linear(dimensions, dimensions)
        self.position = position
        initializeNormal(generator: generator)
    }

    /// Channels of a head, K.
    var headDimensions: Int { queryProjection.outputDimensions / heads }

    /// Turns queries or keys `[B, T, H, K]` whose first step has the position `offset`.
    func placed(_ x: Tensor, from offset: Int) -> Tensor { position.map { $0(x, offset: offset) } ?? x }
}
