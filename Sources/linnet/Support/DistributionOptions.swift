import ArgumentParser
import Efficiency
import Torch
import Training

/// How the processes of a launcher divide a training among them.
struct DistributionOptions: ParsableArguments {
    @Option(name: .customLong("model-shards"), help: "Processes that share each copy of the model (tensor parallel, by Redco's rules).")
    var modelShards: Int = 1
    @Flag(name: .customLong("shard-optimizer"), help: "Spread the optimizer's state over the processes (ZeRO, stage 1).")
    var shardOptimizer: Bool = false
    @Option(name: .customLong("compress-gradients"), help: CompressGradientsArgument.help)
    var compressGradients: CompressGradientsArgument?

    func validate() throws {
        if modelShards < 1 { throw ValidationError("--model-shards has to be at least 1, not \(modelShards)") }
        if modelShards > 1, compressGradients != nil {
            throw ValidationError("--compress-gradients works with whole models; leave out --model-shards")
        }
        // The parser prints other errors as they are in Swift.
        do { _ = try compressGradients?.configuration() } catch let error as ConfigurationError { throw ValidationError(error.description) }
    }

    /// What the processes do together, for an outlet of any of them.
    /// - Parameters:
    ///   - group: all processes.
    ///   - seed: of what the compression draws.
    /// - Throws: `ValidationError` where the processes do not divide into copies.
    func sharing(_ group: ProcessGroup, seed: UInt64) throws -> (TrainingOutlet) -> TrainingOutlet {
        guard group.worldSize % modelShards == 0 else {
            throw ValidationError(
                """
                --model-shards \(modelShards) does not divide the number of processes, which is \(group.worldSize); start a multiple of it \
                with linnet launch -n
                """)
        }
        let groups: MeshGroups = try MeshGroups(Mesh(dp: group.worldSize / modelShards, mp: modelShards), over: group)
        let exchange: LGreCo? = try compressGradients?.configuration().makeExchange(rank: group.rank, seed: seed)
        return { outlet in
            var shared: TrainingOutlet = outlet
            (shared.group, shared.exchange, shared.shardsState) = (groups.data, exchange, shardOptimizer)
            if modelShards > 1 { shared.divide = { try AutoShard.apply($0, over: groups.model) } }
            return shared
        }
    }
}
