import Foundation
import TestSupport
import Testing
import Torch

/// Against the `safetensors` package in Python, in both directions.
@Suite(
    .ownRandomNumbers,
    .enabled(if: PythonPeer.has("safetensors", "torch"), "needs the Python packages safetensors and torch: make test installs them")
)
struct SafetensorsPythonTests {
    private static let digest: String = """
        import sys, hashlib, torch
        from safetensors import safe_open
        with safe_open(sys.argv[1], framework="pt") as f:
            for name in sorted(f.keys()):
                t = f.get_tensor(name)
                raw = t.contiguous().flatten().view(torch.uint8).numpy().tobytes() if t.numel() else b""
                print(name, str(t.dtype).removeprefix("torch."), list(t.shape), raw.hex())
            print(f.metadata())
        """

    private static func line(_ name: String, _ tensor: Tensor) -> String {
        let hex: String = tensor.contiguous().withUnsafeBytes { bytes in
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        return "\(name) \(tensor.dtype) \(tensor.shape) \(hex)"
    }

    private static func lines(_ tensors: [String: Tensor]) -> [String] {
        tensors.sorted { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) }.map { line($0.key, $0.value) }
    }

    @Test func pythonReadsWhatLinnetWrites() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            let tensors: [String: Tensor] = SafetensorsSamples.everyKind()
            try saveTensors(tensors, metadata: ["k": "é\n\"x\""], to: url)
            let printed: [String] = try PythonPeer.run(Self.digest, url.path).split(separator: "\n").map(String.init)
            #expect(Array(printed.dropLast()) == Self.lines(tensors))
            #expect(printed.last == #"{'k': 'é\n"x"'}"#)
        }
    }

    @Test func linnetReadsWhatPythonWrites() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            let script: String = """
                import sys, torch
                from safetensors.torch import save_file
                g = torch.Generator().manual_seed(3)
                kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"]
                t = {k: (torch.randn(3, 5, generator=g) * 40).to(getattr(torch, k)) for k in kinds if k != "uint8"}
                t["uint8"] = torch.arange(15, dtype=torch.uint8)
                t["scalar é"] = torch.tensor(2.5)
                t["none"] = torch.zeros(2, 0)
                save_file(t, sys.argv[1], metadata={"format": "pt", "k": "é😀"})
                """
            try PythonPeer.run(script, url.path)
            let printed: [String] = try PythonPeer.run(Self.digest, url.path).split(separator: "\n").map(String.init)
            let file: SafetensorsFile = try SafetensorsFile(url)
            #expect(Self.lines(try file.tensors()) == Array(printed.dropLast()))
            #expect(file.metadata == ["format": "pt", "k": "é😀"])
        }
    }

    @Test func theHeaderRulesAreThoseOfTheReference() throws {
        try TestPaths.withTemporaryFolder { folder in
            // The reference lets unknown fields, duplicate keys and space before the header pass and knows no limit on axes; all else agrees.
            let stricter: Set<String> = [
                "unknown field", "a million axes", "the same metadata twice", "the same tensor twice", "the same key under an escape",
                "leading space",
            ]
            let bad: [SafetensorsHeaderTests.BadFile] = SafetensorsHeaderTests.badFiles.filter { !stricter.contains($0.testDescription) }
            for (index, file) in bad.enumerated() { try file.data.write(to: folder.appendingPathComponent("\(index)")) }
            let script: String = """
                import sys, os
                from safetensors import deserialize
                for name in os.listdir(sys.argv[1]):
                    try: deserialize(open(os.path.join(sys.argv[1], name), "rb").read())
                    except Exception: continue
                    print(name)
                """
            let accepted: [Int] = try PythonPeer.run(script, folder.path).split(separator: "\n").compactMap { Int($0) }
            #expect(accepted.map { bad[$0].testDescription } == [])
        }
    }
}
