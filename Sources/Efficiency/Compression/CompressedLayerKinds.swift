import NN

/// The kinds of compressed layers that Linnet's own folders may describe.
public enum CompressedLayerKinds {
    /// In alphabetical order of their names.
    public static var all: [any CompressedLayer.Type] {
        [
            FoldedKVAttention.self,
            LowRankLinear.self,
            QuantizedLinear.self,
            SparseLinear.self,
        ]
    }
}
