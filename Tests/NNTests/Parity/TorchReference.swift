import Foundation
import TestSupport
import Torch

/// What torch's own layers and losses compute on random inputs, in float64: made once for the suite by ``TorchReferenceScript``.
///
/// Tensors are named `CASE/in.0`, `CASE/state.NAME`, `CASE/out.0`, `CASE/cot.0`, `CASE/grad.in.0`, `CASE/grad.state.NAME` and, where
/// running changed a buffer, `CASE/after.NAME`.
struct TorchReference {
    let tensors: [String: Tensor]

    static let isAvailable: Bool = PythonPeer.has("torch", "safetensors")

    static func make() throws -> TorchReference {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("layers.safetensors")
            try PythonPeer.run(TorchReferenceScript.text, url.path)
            return TorchReference(tensors: try loadTensors(url))
        }
    }

    /// The tensors `CASE/PREFIX.NAME` by name, floating ones converted.
    func named(_ name: String, _ prefix: String, dtype: DType) -> [String: Tensor] {
        let start: String = "\(name)/\(prefix)."
        let found: [(String, Tensor)] = tensors.filter { $0.key.hasPrefix(start) }.map { key, tensor in
            (String(key.dropFirst(start.count)), (tensor.dtype.isFloatingPoint ? tensor.asType(dtype) : tensor).detached())
        }
        return Dictionary(uniqueKeysWithValues: found)
    }

    /// The tensors `CASE/PREFIX.0`, `CASE/PREFIX.1`, … in order.
    func numbered(_ name: String, _ prefix: String, dtype: DType) -> [Tensor] {
        let found: [String: Tensor] = named(name, prefix, dtype: dtype)
        return (0..<found.count).compactMap { found[String($0)] }
    }

    /// The case names that the script wrote.
    var caseNames: Set<String> { Set(tensors.keys.compactMap { $0.split(separator: "/").first.map(String.init) }) }
}
