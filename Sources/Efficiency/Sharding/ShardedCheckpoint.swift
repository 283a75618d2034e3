import Foundation
import NN
import Optim
import Torch
import Training

/// Checkpoints of a divided model: every rank of one copy writes its own share, and any number of ranks that the shapes admit reads them again.
///
/// A checkpoint is a folder `step-00000100` with `model-2-of-4.safetensors` and `optimizer-2-of-4.safetensors` from each rank and, written last and so the
/// sign that it is whole, `sharding.json`.
public struct ShardedCheckpoint: Sendable {
    /// What the ranks' files mean.
    struct Index: Codable {
        var step: Int
        var shards: Int
        var specs: [ParameterPath: ShardSpec]
        var optimizer: OptimizerScalars?
    }

    static let indexFile: String = "sharding.json"

    public let folder: URL

    public init(_ folder: URL) { self.folder = folder }

    /// Steps of the checkpoints that are whole, in order.
    public var steps: [Int] {
        let names: [String] = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.compactMap { name in
            guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)) else { return nil }
            return FileManager.default.fileExists(atPath: url(step: step).appendingPathComponent(Self.indexFile).path) ? step : nil
        }.sorted()
    }

    func url(step: Int) -> URL {
        let digits: String = String(step)
        return folder.appendingPathComponent("step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits, isDirectory: true)
    }

    private static func file(_ what: String, _ rank: Int, of shards: Int) -> String { "\(what)-\(rank)-of-\(shards).safetensors" }

    // MARK: Writing

    /// Writes a checkpoint; all ranks of the mesh have to call. Of several copies the first one's ranks write.
    /// - Parameters:
    ///   - model: divided by `layout`.
    ///   - layout: where its parameters went.
    ///   - optimizer: whose parameters have the model's names; nil saves none. The state of a `ShardedOptimizer` is put together.
    ///   - step: names the checkpoint.
    ///   - groups: the ranks.
    /// - Throws: what the file system and the collectives throw.
    public func save(_ model: Module, layout: ShardLayout, optimizer: (any Optimizer)? = nil, step: Int, groups: MeshGroups) throws {
        let target: URL = url(step: step)
        let (rank, shards): (Int, Int) = (groups.model.rank, groups.model.worldSize)
        let whole: (tensors: [String: Tensor], scalars: OptimizerScalars)? = try optimizer?.wholeState()
        if groups.data.rank == 0 {
            try AtomicFile.createFolder(target.path)
            let state: [String: Tensor] = Dictionary(model.stateTensors()) { first, _ in first }
            try saveTensors(state, to: target.appendingPathComponent(Self.file("model", rank, of: shards)))
            if let whole { try saveTensors(whole.tensors, to: target.appendingPathComponent(Self.file("optimizer", rank, of: shards))) }
        }
        try groups.world.barrier()
        if groups.world.rank == 0 {
            let index: Index = Index(step: step, shards: shards, specs: layout.specs, optimizer: whole?.scalars)
            let encoder: JSONEncoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try AtomicFile.write(encoder.encode(index), to: target.appendingPathComponent(Self.indexFile).path)
        }
        try groups.world.barrier()
    }

    // MARK: Reading

    /// Reads the newest checkpoint, whatever number of ranks wrote it.
    /// - Parameters:
    ///   - model: divided by `layout`.
    ///   - layout: where its parameters went.
    ///   - optimizer: whose parameters have the model's names; nil reads none.
    /// - Returns: its step; nil where there is no checkpoint.
    /// - Throws: an error naming the file that is missing, broken or does not fit.
    public func loadLatest(into model: Module, layout: ShardLayout, optimizer: (any Optimizer)? = nil) throws -> Int? {
        guard let step = steps.last else { return nil }
        let source: URL = url(step: step)
        let index: Index = try readIndex(source)
        let stored: [String: Tensor] = try whole("model", index, source) { name, _ in index.specs[name] ?? .replicated }
        do { try layout.load(stored, into: model) } catch let error as ShardingError {
            throw ShardingError("\(source.path): \(error)")
        }
        if let optimizer { try load(optimizer, of: model, layout, index, source, shapes: stored.mapValues(\.shape)) }
        return step
    }

    private func readIndex(_ source: URL) throws -> Index {
        let path: String = source.appendingPathComponent(Self.indexFile).path
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw ShardingError("cannot read \(path); use another checkpoint")
        }
        guard let index = try? JSONDecoder().decode(Index.self, from: bytes), (1...65_536).contains(index.shards) else {
            throw ShardingError("\(path) is not the index of a sharded checkpoint; use another checkpoint")
        }
        return index
    }

    /// The whole tensors of the ranks' files.
    private func whole(
        _ what: String, _ index: Index, _ source: URL, spec: (String, Tensor) -> ShardSpec
    ) throws -> [String: Tensor] {
        let files: [URL] = (0..<index.shards).map { source.appendingPathComponent(Self.file(what, $0, of: index.shards)) }
        let pieces: [[String: Tensor]] = try files.map(loadTensors)
        var result: [String: Tensor] = [:]
        for (name, first) in pieces[0] {
            let all: [Tensor] = pieces.compactMap { $0[name] }
            let found: ShardSpec = spec(name, first)
            guard all.count == index.shards, all.allSatisfy({ $0.shape == first.shape }), found.fits(first.shape) else {
                throw ShardingError("\(source.path): the pieces of \(name) do not fit together; use another checkpoint")
            }
            result[name] = found.assembled(all)
        }
        return result
    }

    /// A moment of a parameter's shape is cut like the parameter; what is held once for all ranks stays so.
    private func load(
        _ optimizer: any Optimizer, of model: Module, _ layout: ShardLayout, _ index: Index, _ source: URL, shapes: [String: [Int]]
    ) throws {
        guard let scalars = index.optimizer else {
            throw ShardingError("\(source.path) holds no optimizer; load the model alone")
        }
        if index.shards == layout.group.worldSize, index.specs == layout.specs {
            let own: URL = source.appendingPathComponent(Self.file("optimizer", layout.group.rank, of: index.shards))
            return try optimizer.loadState(try loadTensors(own), scalars: scalars)
        }
        func owner(_ state: String) -> String? { ShardLayout.owner(of: state, among: shapes) }
        let stored: [String: Tensor] = try whole("optimizer", index, source) { name, piece in
            guard let parameter = owner(name), let spec = index.specs[parameter], let shape = shapes[parameter] else { return .replicated }
            return Self.isShaped(piece, like: shape, spec, index.shards) ? spec : .replicated
        }
        for (name, tensor) in stored {
            guard let parameter = owner(name) else {
                throw ShardingError("\(source.path): \(name) belongs to no parameter; give the optimizer the parameters' names")
            }
            // Numbers are the same on all ranks, such as a trust ratio.
            if tensor.ndim == 0 || tensor.shape == shapes[parameter] { continue }
            if index.specs[parameter]?.axis != nil || layout.isDivided(parameter) {
                throw ShardingError("\(source.path): \(name) is not shaped like its parameter; continue with \(index.shards) model shards")
            }
        }
        try optimizer.loadState(try layout.pieces(of: stored, shapes: shapes), scalars: scalars)
    }

    /// Whether a rank's tensor is a piece of one of the parameter's stored shape.
    private static func isShaped(_ piece: Tensor, like shape: [Int], _ spec: ShardSpec, _ shards: Int) -> Bool {
        var expected: [Int] = shape
        if let axis = spec.axis { expected[axis] /= shards }
        return piece.shape == (spec.isTransposed ? expected.reversed() : expected)
    }
}
