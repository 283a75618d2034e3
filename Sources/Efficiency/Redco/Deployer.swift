import Foundation
import NN
import Torch
import Training

/// Where a program runs: which rank of a ``Mesh`` this process is, its seeds, the sizes of its batches, its log and its checkpoints
/// (arXiv 2310.16355, section 3). With ``Predictor`` and ``DistributedTrainer`` it runs a program that is three functions, unchanged on one process
/// or many.
///
///     let deployer = try Deployer(mesh: Mesh(dp: 2, mp: 2), group: .fromEnvironment(), seed: 0)
public final class Deployer {
    public let groups: MeshGroups
    public let seed: UInt64
    /// Where the log and checkpoints go; nil keeps none.
    public let workFolder: URL?
    private let printsLog: Bool

    /// All ranks have to call.
    /// - Parameters:
    ///   - mesh: copies and shares.
    ///   - group: all ranks; one for a program without a launcher.
    ///   - seed: the same on all ranks.
    ///   - workFolder: where the log and checkpoints go; nil keeps none.
    ///   - printsLog: whether rank 0 writes its log to the standard error too.
    /// - Throws: ``ShardingError`` where the mesh has another number of ranks than the group; what making groups throws.
    public init(
        mesh: Mesh = Mesh(dp: 1, mp: 1), group: ProcessGroup = .single, seed: UInt64 = 0, workFolder: URL? = nil, printsLog: Bool = false
    ) throws {
        groups = try MeshGroups(mesh, over: group)
        self.seed = seed
        self.workFolder = workFolder
        self.printsLog = printsLog
        if let workFolder, isMain { try AtomicFile.createFolder(workFolder.path) }
    }

    public var mesh: Mesh { groups.mesh }
    /// Whether this is the rank that speaks for all.
    public var isMain: Bool { groups.world.rank == 0 }
    /// Which copy of the model this rank belongs to.
    public var copy: Int { groups.data.rank }

    // MARK: Seeds

    /// A seed that the ranks of one copy share, since they hold parts of the same activations, and that differs between copies, which read
    /// other examples.
    /// - Parameter stream: tells apart what is drawn for different purposes.
    public func copySeed(stream: UInt64 = 0) -> UInt64 {
        var mixer: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ stream &* 0xD134_2543_DE82_EF95 &+ UInt64(copy))
        return mixer.next()
    }

    /// A stream of random numbers of ``copySeed(stream:)``.
    public func generator(stream: UInt64 = 0) -> RandomGenerator { RandomGenerator(seed: copySeed(stream: stream)) }

    /// Seeds the shared streams of this process, which dropout draws from, so that masks agree within a copy and differ between copies.
    public func seedSharedStreams(stream: UInt64 = 0) { seedEverything(copySeed(stream: stream)) }

    // MARK: Batches

    /// Examples of a step over all copies.
    public func globalBatch(perDevice: Int, accumulation: Int = 1) -> Int { perDevice * mesh.dp * accumulation }

    /// Batches whose gradients a rank adds up, so that a step has `globalBatch` examples.
    /// - Throws: ``ShardingError`` where they do not come out even.
    public func accumulation(globalBatch: Int, perDevice: Int) throws -> Int {
        let once: Int = perDevice * mesh.dp
        guard once > 0, globalBatch > 0, globalBatch % once == 0 else {
            throw ShardingError(
                "a global batch of \(globalBatch) is no multiple of \(perDevice) examples on each of \(mesh.dp) copies, \(once); choose one that is"
            )
        }
        return globalBatch / once
    }

    // MARK: Models

    /// Divides a model among the ranks of a copy; see ``AutoShard/apply(_:over:probe:)``.
    public func shard(_ model: Module, probe: (() throws -> Tensor)? = nil) throws -> ShardLayout {
        try AutoShard.apply(model, over: groups.model, probe: probe)
    }

    /// The checkpoints of the work folder.
    /// - Throws: ``ShardingError`` without a work folder.
    public func checkpoints() throws -> ShardedCheckpoint {
        guard let workFolder else { throw ShardingError("checkpoints need a work folder; give the deployer one") }
        return ShardedCheckpoint(workFolder.appendingPathComponent("checkpoints", isDirectory: true))
    }

    // MARK: Log

    /// Rank 0 adds a line to `log.txt` of the work folder; the other ranks are silent.
    public func log(_ line: String) throws {
        guard isMain else { return }
        if printsLog { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
        guard let workFolder else { return }
        let path: String = workFolder.appendingPathComponent("log.txt").path
        let before: Data = FileManager.default.contents(atPath: path) ?? Data()
        try AtomicFile.write(before + Data("\(line)\n".utf8), to: path)
    }

    // MARK: Agreement

    /// Makes sure that a number is the same on all ranks, since ranks that disagree on the number of steps would wait for each other forever.
    /// - Throws: ``ShardingError`` on all ranks where it is not.
    func agree(on value: Int, _ what: String) throws {
        let highest: Tensor = Tensor([Int64(value)], [1], dtype: .int64, device: .cpu)
        let lowest: Tensor = highest.cloned()
        try groups.world.allReduce(highest, .maximum)
        try groups.world.allReduce(lowest, .minimum)
        let (most, least): (Int, Int) = (highest.item(Int.self), lowest.item(Int.self))
        if most != least {
            throw ShardingError("the ranks disagree on \(what): from \(least) to \(most); give all ranks the same data and settings")
        }
    }
}
