import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch

@testable import Training

/// A regression that needs no shared random stream, so that tests beside it cannot change it.
private struct Regression {
    struct Stopped: Error {}

    let source: GeneratedBatches<[Float]> = GeneratedBatches(itemsPerBatch: 8, itemName: "samples") { step in
        var generator: SplitMix64 = SplitMix64(seed: UInt64(step))
        return (0..<32).map { _ in Float(generator.next(below: 2000)) / 1000 - 1 }
    }

    /// Runs, or throws ``Stopped`` when step `stop` is reached for the first time.
    func run(
        folder: URL?, resume: Bool = false, stop: Int? = nil, breakAt: Int? = nil, description: String = "{}", steps: Int = 20,
        accumulation: Int = 2, validation: (() -> [String: Double])? = nil, patience: Int? = nil
    ) throws -> (parameters: [[Float]], result: TrainingResult) {
        let generator: RandomGenerator = RandomGenerator(seed: 1)
        let first: Linear = Linear(4, 8, generator: generator)
        let second: Linear = Linear(8, 1, generator: generator)
        let model: Sequential = Sequential([first, second])
        let configuration: TrainerConfiguration = try TrainerConfiguration(
            steps: steps, accumulation: accumulation, schedule: .warmUpCosine(warmUp: 3, finalFraction: 0.1), averageDecay: 0.9,
            validateEvery: validation == nil ? nil : 1, patience: patience, checkpointEvery: 3, checkpointMinutes: nil, prefetch: 2)
        var calls: Int = 0
        let trainer: Trainer<GeneratedBatches<[Float]>> = try Trainer(
            model: model, optimizer: try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration(learningRate: 0.05)),
            source: source, configuration: configuration, folder: folder, description: description, progress: .quiet, validation: validation
        ) { batch in
            calls += 1
            if let stop, calls > stop * accumulation { throw Stopped() }
            let x: Tensor = Tensor(batch, [8, 4])
            let scale: Double = calls > (breakAt ?? steps) * accumulation ? .nan : 1
            return (second(first(x).tanh()).squeezed(axis: 1) - x.sum(axis: 1)).square().mean() * scale
        }
        let result: TrainingResult = try trainer.run(resume: resume)
        return (model.parameters().map { $0.array() }, result)
    }
}

@Suite(.ownRandomNumbers) struct TrainerTests {
    @Test(arguments: [1, 4, 9, 17]) func aResumedRunEndsBitForBitAsAnUnbrokenOne(stop: Int) throws {
        let unbroken: [[Float]] = try Regression().run(folder: nil).parameters
        try TestPaths.withTemporaryFolder { folder in
            #expect(throws: Regression.Stopped.self) { try Regression().run(folder: folder, stop: stop) }
            let resumed: [[Float]] = try Regression().run(folder: folder, resume: true).parameters
            #expect(resumed == unbroken)
        }
    }

    @Test func trainingLearns() throws {
        let losses: [Double] = try Regression().run(folder: nil, steps: 200).result.losses
        let first: Double = losses.prefix(10).reduce(0, +)
        let last: Double = losses.suffix(10).reduce(0, +)
        #expect(last < first / 5)
    }

    @Test func aLossThatIsNotFiniteStopsWithTheLastGoodCheckpoint() throws {
        try TestPaths.withTemporaryFolder { folder in
            let failure: TrainingFailure? = #expect(throws: TrainingFailure.self) { try Regression().run(folder: folder, breakAt: 7) }
            let checkpoint: String = CheckpointStore(folder).url(step: 6).path
            #expect(failure == .notFinite(step: 7, tensor: "the loss", checkpoint: checkpoint))
            #expect(CheckpointStore(folder).steps.last == 6)
            let kept: Checkpoint = try CheckpointStore(folder).load(step: 6)
            #expect(kept.model.values.allSatisfy { $0.isFinite().all().item(Bool.self) })
        }
    }

    @Test func aCheckpointOfAnotherConfigurationIsRefused() throws {
        try TestPaths.withTemporaryFolder { folder in
            _ = try Regression().run(folder: folder, description: #"{"model":{"width":8},"rate":1}"#)
            let error: ConfigurationMismatch? = #expect(throws: ConfigurationMismatch.self) {
                try Regression().run(folder: folder, resume: true, description: #"{"model":{"width":9},"rate":1}"#)
            }
            #expect(error?.differences == ["model.width is 8 there and 9 here"])
        }
    }

    @Test func patienceEndsARunThatNoLongerImproves() throws {
        let result: TrainingResult = try Regression().run(folder: nil, validation: { ["loss": 1] }, patience: 3).result
        #expect(result.steps == 4)
        #expect(result.best == 1)
    }

    @Test func oldCheckpointsArePrunedExceptTheBest() throws {
        try TestPaths.withTemporaryFolder { folder in
            var count: Int = 0
            _ = try Regression().run(
                folder: folder,
                validation: {
                    count += 1
                    return ["loss": count == 5 ? 0 : 1 + Double(count)]
                })
            #expect(CheckpointStore(folder).steps == [5, 18, 20])
        }
    }

    @Test func settingsOutOfRangeAreNamed() {
        #expect(throws: ConfigurationError.self) { try TrainerConfiguration(steps: 0) }
        let error: ConfigurationError? = #expect(throws: ConfigurationError.self) { try TrainerConfiguration(steps: 10, accumulation: 0) }
        #expect(error?.description == "training.accumulation is 0; it has to be at least 1")
    }
}

@Suite(.ownRandomNumbers) struct CheckpointStoreTests {
    private func checkpoint(step: Int) -> Checkpoint {
        var state: TrainingState = TrainingState()
        state.step = step
        return Checkpoint(model: ["w": Tensor.full([3], Double(step))], training: ["m": Tensor.zeros([1])], state: state)
    }

    @Test func whatIsHalfWrittenIsNeverRead() throws {
        try TestPaths.withTemporaryFolder { folder in
            let store: CheckpointStore = CheckpointStore(folder)
            try store.save(checkpoint(step: 1))
            // What a process that was killed while writing leaves behind.
            let partial: URL = folder.appendingPathComponent(".step-00000002.partial-999999")
            try FileManager.default.createDirectory(at: partial, withIntermediateDirectories: true)
            try Data("half".utf8).write(to: partial.appendingPathComponent("model.safetensors"))
            #expect(store.steps == [1])
            #expect(try store.latest()?.state.step == 1)
            try store.save(checkpoint(step: 3))
            #expect(!FileManager.default.fileExists(atPath: partial.path))
        }
    }

    @Test func savingAStepAgainReplacesIt() throws {
        try TestPaths.withTemporaryFolder { folder in
            let store: CheckpointStore = CheckpointStore(folder)
            try store.save(checkpoint(step: 1))
            try store.save(Checkpoint(model: ["w": Tensor.full([3], 9.0)], training: [:], state: checkpoint(step: 1).state))
            #expect(try store.latest()?.model["w"]?.array(Float.self) == [9, 9, 9])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["step-00000001"])
        }
    }

    @Test func brokenFilesAreNamed() throws {
        try TestPaths.withTemporaryFolder { folder in
            let store: CheckpointStore = CheckpointStore(folder)
            try store.save(checkpoint(step: 1))
            let state: URL = store.url(step: 1).appendingPathComponent("state.json")
            try Data("{".utf8).write(to: state)
            let error: DataFormatError? = #expect(throws: DataFormatError.self) { try store.latest() }
            #expect(error?.description.contains(state.path) == true)
        }
    }
}
