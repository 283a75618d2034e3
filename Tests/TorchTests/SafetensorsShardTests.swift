import Foundation
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct SafetensorsShardTests {
    private let tensors: [String: Tensor] = [
        "a": Tensor.full([10], 1), "b": Tensor.full([10], 2), "c": Tensor.full([10], 3), "big": Tensor.full([100], 4),
    ]

    private func names(_ folder: URL) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

    @Test func shardsHoldAtMostTheGivenSizeAndLoadByIndexOrFolder() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("model.safetensors")
            try saveTensors(tensors, to: url, mostShardBytes: 80)
            let shards: [String] = (1...3).map { "model-0000\($0)-of-00003.safetensors" }
            #expect(try names(folder) == shards + ["model.safetensors.index.json"])
            for source in [folder, folder.appendingPathComponent("model.safetensors.index.json")] {
                let loaded: [String: Tensor] = try loadTensors(source)
                #expect(loaded.mapValues { $0.sum().item(Float.self) } == ["a": 10, "b": 20, "c": 30, "big": 400])
            }
        }
    }

    @Test func theOtherFormOfAnOlderCheckpointGoes() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("model.safetensors")
            try saveTensors(["a": Tensor.zeros([10])], to: url, mostShardBytes: 80)
            #expect(try names(folder) == ["model.safetensors"])
            try saveTensors(tensors, to: url, mostShardBytes: 80)
            #expect(try loadTensors(folder)["a"]?.sum().item(Float.self) == 10)
            try saveTensors(["a": Tensor.zeros([10])], to: url)
            #expect(try loadTensors(folder)["a"]?.sum().item(Float.self) == 0)
            #expect(try !names(folder).contains("model.safetensors.index.json"))
        }
    }

    private func error(index: String, in folder: URL) throws -> SafetensorsError? {
        let url: URL = folder.appendingPathComponent("model.safetensors.index.json")
        try Data(index.utf8).write(to: url)
        return #expect(throws: SafetensorsError.self) { try loadTensors(url) }
    }

    @Test func anIndexIsReadAsHostileInput() throws {
        try TestPaths.withTemporaryFolder { folder in
            try saveTensors(["a": Tensor.zeros([1])], to: folder.appendingPathComponent("one.safetensors"))
            let escapes: [String] = [
                "../one.safetensors", "/etc/passwd", "..", ".", "", "a\\\\b", "one.safetensors\\u0000", "x/one.safetensors",
            ]
            for shard in escapes {
                #expect(try error(index: "{\"weight_map\":{\"a\":\"\(shard)\"}}", in: folder)?.reason == .shard, "\(shard)")
            }
            for index in ["", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":3}}", "{\"weight_map\":{},\"weight_map\":{}}"] {
                #expect(try error(index: index, in: folder)?.reason == .shard, "\(index)")
            }
            let missing: SafetensorsError? = try error(index: "{\"weight_map\":{\"a\":\"two.safetensors\"}}", in: folder)
            #expect(missing?.detail == "the shard 'two.safetensors' with 1 tensors is missing beside the index")
            let absent: SafetensorsError? = try error(index: "{\"weight_map\":{\"b\":\"one.safetensors\"}}", in: folder)
            #expect(absent?.detail == "not in the shard 'one.safetensors', where the index places it")
        }
    }
}
