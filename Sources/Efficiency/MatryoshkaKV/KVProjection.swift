import NN
import SequenceModels
import Torch

/// Orthogonal bases for the keys and the values of each key-value head of one layer, and the means that are taken off before.
///
/// The first columns matter most: whoever keeps r of them keeps the first r.
public final class KVProjection: Module {
    /// U^K, `[H, D, D]`.
    @ModuleInfo(key: "key") public var key: CayleyOrthogonal
    /// U^V, `[H, D, D]`.
    @ModuleInfo(key: "value") public var value: CayleyOrthogonal
    /// μ^K, `[H, D]`. Scores that differ by the same number for all keys have one softmax, so that it moves the cached numbers and no output.
    @ParameterInfo(key: "key_mean") public var keyMean: Tensor
    /// μ^V, `[H, D]`.
    @ParameterInfo(key: "value_mean") public var valueMean: Tensor

    /// Identities and means of 0.
    public init(heads: Int, headDimensions: Int) {
        super.init()
        key = CayleyOrthogonal(dimensions: headDimensions, count: heads)
        value = CayleyOrthogonal(dimensions: headDimensions, count: heads)
        keyMean = .zeros([heads, headDimensions])
        valueMean = .zeros([heads, headDimensions])
    }

    /// The principal axes of what was observed, those of the largest variance first.
    convenience init(keys: PrincipalAxes, values: PrincipalAxes, like weight: Tensor) {
        self.init(heads: keys.heads, headDimensions: keys.dimensions)
        (key, value) = (CayleyOrthogonal(keys.axes), CayleyOrthogonal(values.axes))
        (keyMean, valueMean) = (keys.mean, values.mean)
        to(dtype: weight.dtype, device: weight.device)
    }

    /// The principal axes of keys, after their rotation by the position, and of values, for each softmax attention of a model.
    /// - Parameters:
    ///   - model: a Llama or another model whose layers are `SoftmaxAttention`.
    ///   - calibration: batches of tokens `[B, T]` (int64) that are read.
    /// - Returns: a projection for each layer, first layer first.
    /// - Throws: `ConfigurationError` for a model without softmax attention, or no batch.
    public static func pca(_ model: any CausalLanguageModel, calibration: [Tensor]) throws -> [KVProjection] {
        let layers: [(path: String, mixer: SoftmaxAttention)] = model.mixers(SoftmaxAttention.self)
        guard !layers.isEmpty else {
            throw ConfigurationError("the model has no softmax attention with projections of its own, whose cache could be compressed")
        }
        guard model.matryoshkaLayers.isEmpty else { throw ConfigurationError("the model's caches have projections already") }
        guard !calibration.isEmpty else { throw ConfigurationError("principal axes need at least one batch of tokens") }
        let attentions: [MultiHeadAttention] = layers.map(\.mixer.attention)
        var keys: [PrincipalAxes] = attentions.map { PrincipalAxes($0.configuration) }
        var values: [PrincipalAxes] = keys
        model.observing(layers) { index, x in
            keys[index].add(attentions[index].keys(x))
            values[index].add(attentions[index].values(x))
        } during: {
            for tokens in calibration { _ = model(tokens) }
        }
        return attentions.indices.map {
            KVProjection(keys: keys[$0], values: values[$0], like: attentions[$0].keyProjection.denseWeight())
        }
    }

    /// The output projection with the values' bases taken in: from the kept channels of all query heads, side by side, to the stream.
    /// - Parameters:
    ///   - outputProjection: from `[..., HQ · D]`.
    ///   - ranks: kept channels of the values, one for each key-value head.
    public func fold(into outputProjection: any LinearMap, ranks: [Int]) -> Linear {
        let dense: Tensor = outputProjection.denseWeight().detached()
        let group: Int = dense.dim(1) / (ranks.count * value.dimensions)
        let heads: Tensor = dense.reshaped(dense.dim(0), ranks.count * group, value.dimensions)
        let basis: Tensor = value.matrix().detached().repeated(group, axis: 0)
        let shift: Tensor = einsum("ohd,hd->o", heads, valueMean.detached().repeated(group, axis: 0))
        let own: Tensor = outputProjection.bias?.detached() ?? shift.zerosLike()
        let queryRanks: [Int] = ranks.flatMap { Array(repeating: $0, count: group) }
        return Linear(weight: Self.kept(einsum("ohd,hdr->ohr", heads, basis), queryRanks), bias: shift + own)
    }

    /// The projection of values that gives the kept channels of all heads, side by side.
    func folded(values projection: any LinearMap, ranks: [Int]) -> Linear {
        let dense: Tensor = projection.denseWeight().detached()
        let heads: Tensor = dense.reshaped(ranks.count, value.dimensions, dense.dim(1))
        let basis: Tensor = value.matrix().detached()
        let own: Tensor = projection.bias?.detached().reshaped(valueMean.shape) ?? valueMean.zerosLike()
        let bias: Tensor = einsum("hd,hdr->hr", own - valueMean.detached(), basis).expandedDimensions(axis: 0)
        let weight: Tensor = Self.kept(einsum("hdi,hdr->ihr", heads, basis), ranks).mT.contiguous()
        return Linear(weight: weight, bias: Self.kept(bias, ranks).squeezed(axis: 0))
    }

    /// The first channels of each head `[N, H, D]`, side by side: `[N, Σ ranks]`.
    private static func kept(_ heads: Tensor, _ ranks: [Int]) -> Tensor {
        CompressedKVCache.packed(heads.expandedDimensions(axis: 0), ranks: ranks).squeezed(axis: 0).contiguous()
    }
}

/// Mean and covariance of vectors of several heads, summed up batch by batch.
struct PrincipalAxes {
    private var count: Int = 0
    private var sum: Tensor
    private var products: Tensor

    init(_ c: AttentionConfiguration) {
        sum = .zeros([c.keyValueHeads, c.headDimensions], dtype: .float64, device: .cpu)
        products = .zeros([c.keyValueHeads, c.headDimensions, c.headDimensions], dtype: .float64, device: .cpu)
    }

    var heads: Int { sum.dim(0) }
    var dimensions: Int { sum.dim(1) }

    /// Takes in vectors `[B, T, H, D]`.
    mutating func add(_ vectors: Tensor) {
        let flat: Tensor = vectors.flattened(from: 0, to: 1).to(device: .cpu, dtype: .float64)
        count += flat.dim(0)
        sum += flat.sum(axis: 0)
        products += einsum("nhd,nhe->hde", flat, flat)
    }

    /// `[H, D]`
    var mean: Tensor { sum / Double(max(count, 1)) }

    /// `[H, D, D]`
    var covariance: Tensor {
        products / Double(max(count, 1)) - mean.expandedDimensions(axis: 2) * mean.expandedDimensions(axis: 1)
    }

    /// Eigenvectors of the covariance as columns, `[H, D, D]`, those of the largest eigenvalues first.
    var axes: Tensor { covariance.eigh().vectors.flipped(axes: [-1]) }
}
