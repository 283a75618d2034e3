import Foundation
import Synchronization
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct SinkTests {
    let scratch = Scratch()

    @Test func jsonLinesAreWrittenAndAnUnfinishedOneIsRemoved() throws {
        let path = scratch.file("m.jsonl")
        try AtomicFile.write("{\"step\":1}\n{\"ste", to: path)
        let sink = try JSONLinesSink(path: path, now: { Date(timeIntervalSince1970: 1.5) })
        sink.log(step: 2, metrics: ["loss": 0.1, "a\"b": .infinity])
        try sink.close()
        try sink.close()
        let text = String(decoding: try readFile(path), as: UTF8.self)
        #expect(text == "{\"step\":1}\n{\"step\":2,\"time\":1.5,\"metrics\":{\"a\\\"b\":null,\"loss\":0.1}}\n")
    }

    @Test func whatIsLoggedReachesTheFileWithoutClosing() throws {
        let path = scratch.file("m.jsonl")
        let sink = try JSONLinesSink(path: path)
        sink.log(step: 1, metrics: ["x": 1])
        for _ in 0..<500 where try readFile(path).isEmpty { usleep(10_000) }
        #expect(try !readFile(path).isEmpty)
        try sink.close()
    }

    @Test func aFullDeviceIsReportedByCloseOnly() throws {
        let sink = try JSONLinesSink(path: "/dev/full")
        sink.log(step: 1, metrics: ["x": 1])
        #expect(throws: FileError("write", "/dev/full", code: ENOSPC)) { try sink.close() }
    }

    @Test func theFanOutClosesAllBeforeItThrows() throws {
        let path = scratch.file("m.jsonl")
        let both = MetricFanOut([try JSONLinesSink(path: "/dev/full"), try JSONLinesSink(path: path)])
        both.log(step: 1, metrics: ["x": 1])
        #expect(throws: FileError.self) { try both.close() }
        #expect(try !readFile(path).isEmpty)
    }

    @Test func crc32cOfTheStandardsExamples() {
        // RFC 3720, appendix B.4.
        #expect(TFRecord.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(TFRecord.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(TFRecord.crc32c((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    }

    @Test(.enabled(if: PythonPeer.has("tensorboard"), "no Python with tensorboard: set LINNET_PYTHON"))
    func tensorBoardReadsTheVeryValues() throws {
        let sink = try TensorBoardSink(folder: scratch.file("tb"), now: { Date(timeIntervalSince1970: 1234.5) })
        for step in [0, 7, 1 << 40] { sink.log(step: step, metrics: ["loss": 1 / Double(step + 3), "train/accuracy": .nan]) }
        sink.log(step: 3, tag: "sample", text: "Ünïcode *text* 🙂")
        sink.log(step: 4, tag: "weights", histogram: [0, 1, 1, 2, 10, .nan], buckets: 5)
        try sink.close()
        let script = """
            import sys,json
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
            from tensorboard.util import tensor_util
            a=EventAccumulator(sys.argv[1]); a.Reload()
            t=a.Tags()
            print(sorted(t['scalars']),sorted(t['tensors']))
            print([(e.step,e.value.hex(),e.wall_time) for e in a.Scalars('loss')])
            print([str(e.value) for e in a.Scalars('train/accuracy')])
            print(tensor_util.make_ndarray(a.Tensors('sample')[0].tensor_proto)[0].decode(),a.SummaryMetadata('sample').plugin_data.plugin_name)
            print(tensor_util.make_ndarray(a.Tensors('weights')[0].tensor_proto).tolist(),a.SummaryMetadata('weights').plugin_data.plugin_name)
            """
        let lines = try PythonPeer.run(script, scratch.file("tb")).split(separator: "\n").map(String.init)
        try #require(lines.count == 5)
        #expect(lines[0] == "['loss', 'train/accuracy'] ['sample', 'weights']")
        let values = try PythonPeer.run(
            "import numpy as np\nprint([(s,float(np.float32(1/(s+3))).hex(),1234.5) for s in (0,7,1<<40)])"
        ).dropLast()
        #expect(lines[1] == values)
        #expect(lines[2] == "['nan', 'nan', 'nan']")
        #expect(lines[3] == "Ünïcode *text* 🙂 text")
        #expect(lines[4] == "[[0.0, 2.0, 3.0], [2.0, 4.0, 1.0], [4.0, 6.0, 0.0], [6.0, 8.0, 0.0], [8.0, 10.0, 1.0]] histograms")
    }
}
