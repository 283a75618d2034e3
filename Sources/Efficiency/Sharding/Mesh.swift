import Torch
import Training

/// A rectangle of ranks, `dp` rows of `mp` columns: every row holds one copy of a model in `mp` shares, and every row reads other data.
///
/// The ranks of a row follow each other, so that a launcher which fills machine after machine keeps a copy of the model inside one.
public struct Mesh: Codable, Sendable, Equatable, CustomStringConvertible {
    /// Copies of the model.
    public let dp: Int
    /// Shares of each copy.
    public let mp: Int

    /// Traps for fewer than one copy or share.
    public init(dp: Int, mp: Int) {
        precondition(dp > 0 && mp > 0, "Mesh: \(dp) copies in \(mp) shares")
        self.dp = dp
        self.mp = mp
    }

    public var worldSize: Int { dp * mp }
    public var description: String { "(\(dp), \(mp))" }

    /// Which copy a rank belongs to, and which share of it it holds.
    public func place(of rank: Int) -> (dp: Int, mp: Int) { (rank / mp, rank % mp) }

    /// Ranks that hold the shares of one copy.
    func row(_ dp: Int) -> [Int] { (0..<mp).map { dp * mp + $0 } }

    /// Ranks that hold the same share.
    func column(_ mp: Int) -> [Int] { (0..<dp).map { $0 * self.mp + mp } }
}

/// The process groups of one rank of a ``Mesh``.
public struct MeshGroups {
    public let mesh: Mesh
    public let world: ProcessGroup
    /// The ranks that hold the same share of the model: gradients are averaged over them.
    public let data: ProcessGroup
    /// The ranks that hold the shares of one copy.
    public let model: ProcessGroup

    /// Every rank of the group has to call this; the subgroups are made in the same order everywhere.
    /// - Throws: ``ShardingError`` where the mesh has another number of ranks than the group; what making a group throws.
    public init(_ mesh: Mesh, over world: ProcessGroup) throws {
        guard mesh.worldSize == world.worldSize else {
            throw ShardingError(
                "the mesh \(mesh) has \(mesh.worldSize) ranks and the group \(world.worldSize); start as many processes as the mesh has ranks"
            )
        }
        self.mesh = mesh
        self.world = world
        let place: (dp: Int, mp: Int) = mesh.place(of: world.rank)
        let rows: [ProcessGroup?] = try (0..<mesh.dp).map { try Self.subgroup(mesh.row($0), of: world) }
        let columns: [ProcessGroup?] = try (0..<mesh.mp).map { try Self.subgroup(mesh.column($0), of: world) }
        guard let model = rows[place.dp], let data = columns[place.mp] else {
            throw ShardingError("rank \(world.rank) is in no group of the mesh \(mesh)")
        }
        self.model = model
        self.data = data
    }

    /// No ranks need no sockets: a group of one is ``ProcessGroup/single``, one of all is the world itself.
    private static func subgroup(_ ranks: [Int], of world: ProcessGroup) throws -> ProcessGroup? {
        if ranks.count == world.worldSize { return world }
        if ranks.count == 1 { return ranks[0] == world.rank ? .single : nil }
        return try world.split(ranks: ranks)
    }
}

/// What is wrong with a layout, a sharded checkpoint or a distributed run, as one line.
public struct ShardingError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String

    public init(_ description: String) { self.description = description }
}
