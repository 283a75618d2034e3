import Foundation
import TestSupport
import Testing
import Torch

/// Tensors that Python's torch computed: inputs and what its functions give for them, by name.
enum TorchReference {
    static let isAvailable: Bool = PythonPeer.has("safetensors", "torch")

    /// Runs a script that fills the dictionary `t` (with `g`, a seeded float64 `randn`) and gives its tensors.
    static func tensors(_ script: String) throws -> [String: Tensor] {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("reference.safetensors")
            try PythonPeer.run(prologue + script + epilogue, url.path)
            return try loadTensors(url)
        }
    }

    private static let prologue: String = """
        import sys, torch
        import torch.nn.functional as F
        from safetensors.torch import save_file
        torch.manual_seed(7)
        t = {}
        def g(*shape): return torch.randn(*shape, dtype=torch.float64)

        """

    private static let epilogue: String = """

        save_file({k: v.detach().contiguous().clone() for k, v in t.items()}, sys.argv[1])
        """
}

/// Same shape and every element within `tolerance` relative to the larger of 1 and the expected element.
func expectClose(
    _ actual: Tensor, _ expected: Tensor?, tolerance: Double = 1e-9, _ comment: Comment? = nil,
    at location: SourceLocation = #_sourceLocation
) {
    guard let expected else {
        Issue.record("the reference has no such tensor", sourceLocation: location)
        return
    }
    #expect(actual.shape == expected.shape, comment, sourceLocation: location)
    guard actual.shape == expected.shape else { return }
    let pairs: [(Double, Double)] = Array(zip(flatNumbers(actual), flatNumbers(expected)))
    let worst: Double = pairs.map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
    #expect(worst <= tolerance, comment, sourceLocation: location)
}

/// Elements as numbers; complex ones as real and imaginary part.
private func flatNumbers(_ tensor: Tensor) -> [Double] {
    (tensor.dtype.isComplex ? tensor.detached().viewAsReal() : tensor).array(Double.self)
}
