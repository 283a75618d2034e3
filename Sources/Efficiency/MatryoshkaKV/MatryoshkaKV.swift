import NN
import SequenceModels
import Torch

extension Module {
    /// The attentions with a compressed cache, in the order of the forward pass.
    public var matryoshkaLayers: [MatryoshkaKVAttention] { mixers(MatryoshkaKVAttention.self).map(\.mixer) }

    /// Puts a ``MatryoshkaKVAttention`` in the place of every softmax attention; nothing is cut off until ranks are set.
    /// - Parameter projections: one for each attention; see ``KVProjection/pca(_:calibration:)``. Traps for another number of them.
    public func attachKVProjections(_ projections: [KVProjection]) {
        let layers: [(path: String, mixer: SoftmaxAttention)] = mixers(SoftmaxAttention.self)
        precondition(projections.count == layers.count, "\(projections.count) projections for \(layers.count) attentions")
        for (layer, projection) in zip(layers, projections) {
            let attention: MatryoshkaKVAttention = MatryoshkaKVAttention(base: layer.mixer, projection: projection, ranks: nil)
            attention.train(isTraining)
            replaceModule(at: layer.path, with: attention)
        }
    }

    /// Sets the ranks of every attention with a compressed cache; nil makes the model what it was before.
    public func setKVRanks(_ plan: KVRankPlan?) {
        let layers: [MatryoshkaKVAttention] = matryoshkaLayers
        precondition(plan.map { $0.layers.count == layers.count } ?? true, "ranks of \(plan?.layers.count ?? 0) layers for \(layers.count)")
        for (index, layer) in layers.enumerated() { layer.ranks = plan?.layers[index] }
    }

    /// The ranks without compression of every attention with a projection.
    public var fullKVRanks: KVRankPlan {
        let configurations: [AttentionConfiguration] = matryoshkaLayers.map(\.base.attention.configuration)
        return KVRankPlan(
            layers: configurations.map { KVRanks(heads: $0.keyValueHeads, rank: $0.headDimensions) },
            headDimensions: configurations.first?.headDimensions ?? 0)
    }

    /// Replaces every attention with ranks by its form for inference. Traps where one has none.
    public func foldKVProjections() {
        for (path, mixer) in mixers(MatryoshkaKVAttention.self) {
            let folded: FoldedKVAttention = mixer.folded()
            folded.train(isTraining)
            replaceModule(at: path, with: folded)
        }
    }
}
