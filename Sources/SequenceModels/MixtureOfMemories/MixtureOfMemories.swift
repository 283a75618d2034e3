import Foundation
import NN
import Torch

/// A layer with several independent memories (Du et al., 2025, *MoM: Linear Sequence Modeling with Mixture-of-Memories*): each token is written
/// to and read from the k that a router picks for it, and from a shared one, so that memories do not interfere and the state grows without
/// the work of a token growing.
///
/// A memory sees the tokens routed to it as a sequence of their own: short convolutions, decay and writes pass over all others. The
/// memories' outputs are mixed by the router's weights, then normalised and gated.
///
/// Checkpoint names are those of flash-linear-attention: `gate`, `q_proj`, `k_proj.0` …, `shared_k` …, `q_conv1d`, `A_log`, `dt_bias`, `g_proj`,
/// `o_norm`, `o_proj`.
public final class MixtureOfMemories: Module, SequenceMixer {
    @ModuleInfo(key: "gate") public var router: MemoryRouter
    @ModuleInfo(key: "q_proj") public var queryProjection: Linear
    /// One for each memory; none where all share one set.
    @ModuleInfo(key: "k_proj") public var keyProjections: [Linear]
    @ModuleInfo(key: "v_proj") public var valueProjections: [Linear]
    @ModuleInfo(key: "b_proj") public var strengthProjections: [Linear]
    @ModuleInfo(key: "a_proj") public var decayProjections: [Linear]
    /// Of the shared memory, or of all.
    @ModuleInfo(key: "shared_k") public var sharedKeyProjection: Linear?
    @ModuleInfo(key: "shared_v") public var sharedValueProjection: Linear?
    @ModuleInfo(key: "shared_b") public var sharedStrengthProjection: Linear?
    @ModuleInfo(key: "shared_a") public var sharedDecayProjection: Linear?
    @ModuleInfo(key: "q_conv1d") public var queryConvolution: ShortConvolution?
    @ModuleInfo(key: "k_conv1d") public var keyConvolution: ShortConvolution?
    @ModuleInfo(key: "v_conv1d") public var valueConvolution: ShortConvolution?
    @ModuleInfo(key: "") public var backend: any MemoryBackend
    @ModuleInfo(key: "g_proj") public var gateProjection: Linear?
    @ModuleInfo(key: "o_norm") public var outputNorm: GatedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: Linear
    public let configuration: MixtureOfMemoriesConfiguration
    private var newest: (routing: MemoryRouting, mask: Tensor?)?

    /// Whether no later token matters to an earlier one; with a limited capacity it does.
    public var isCausal: Bool { configuration.capacity == nil }
    public var stepUsesPosition: Bool { false }

    /// Projections start by Xavier's rule with gain 2^−2.5. Traps for a `topK` that is not between 1 and the number of memories.
    public init(_ configuration: MixtureOfMemoriesConfiguration, generator: RandomGenerator? = nil) {
        let c: MixtureOfMemoriesConfiguration = configuration
        precondition(
            c.heads > 0 && c.headDimensions > 0 && c.valueHeadDimensions > 0,
            "MixtureOfMemories: \(c.heads) heads of \(c.headDimensions) key and \(c.valueHeadDimensions) value channels")
        self.configuration = c
        super.init()
        let memory: any MemoryBackend = c.backend.make(heads: c.heads, headDimensions: c.headDimensions, generator: generator)
        func linears(_ count: Int, _ outputs: Int) -> [Linear] {
            outputs == 0 ? [] : (0..<count).map { _ in Linear(c.dimensions, outputs, bias: false) }
        }
        func convolution(_ channels: Int) -> ShortConvolution? {
            c.convolutionWidth.map { ShortConvolution(channels, width: $0, generator: generator) }
        }
        let own: Int = c.singleKeyValue ? 0 : c.memories
        let shared: Int = c.singleKeyValue || c.sharedMemory ? 1 : 0
        router = MemoryRouter(dimensions: c.dimensions, memories: c.memories, topK: c.topK, generator: generator)
        queryProjection = Linear(c.dimensions, c.keyDimensions, bias: false)
        keyProjections = linears(own, c.keyDimensions)
        valueProjections = linears(own, c.valueDimensions)
        strengthProjections = linears(own, memory.strengthChannels)
        decayProjections = linears(own, memory.decayChannels)
        sharedKeyProjection = linears(shared, c.keyDimensions).first
        sharedValueProjection = linears(shared, c.valueDimensions).first
        sharedStrengthProjection = linears(shared, memory.strengthChannels).first
        sharedDecayProjection = linears(shared, memory.decayChannels).first
        queryConvolution = convolution(c.keyDimensions)
        keyConvolution = convolution(c.keyDimensions)
        valueConvolution = convolution(c.valueDimensions)
        backend = memory
        gateProjection = c.useOutputGate ? Linear(c.dimensions, c.valueDimensions, bias: false) : nil
        outputNorm = GatedRMSNorm(c.valueHeadDimensions)
        outputProjection = Linear(c.valueDimensions, c.dimensions, bias: false)
        initialize(generator: generator) { module, _ in module is Linear ? .xavierUniform(gain: exp2(-2.5)) : nil }
    }

    private var convolutions: [ShortConvolution] { [queryConvolution, keyConvolution, valueConvolution].compactMap { $0 } }

    /// `"S": [B, N, H, K, V]` and `"shared": [B, H, K, V]`, float32 or wider; tails of q, k and v for each memory, `[B, N, W − 1, C]`, then
    /// those of the shared one.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let c: MixtureOfMemoriesConfiguration = configuration
        func memory(_ rows: Int) -> MixerState {
            .matrixMemory(
                batch: rows, heads: c.heads, key: c.headDimensions, value: c.valueHeadDimensions, convolutions: convolutions, dtype: dtype,
                device: device)
        }
        var state: MixerState = memory(batch * c.memories)
        state.recurrent = state.recurrent.mapValues { $0.unflattenedRows(batch) }
        state.conv = state.conv.map { $0.unflattenedRows(batch) }
        if c.sharedMemory {
            let shared: MixerState = memory(batch)
            state.recurrent[Self.sharedName] = shared.memory
            state.conv += shared.conv
        }
        return state
    }

    private static let sharedName: String = "shared"

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let query: Tensor = queryProjection(x)
        let routing: MemoryRouting = router(x)
        newest = (routing, mask)
        let routed: MemoryRead = readRouted(x, query: query, routing, mask: mask, state: state, mode: mode)
        let shared: MemoryRead? = configuration.sharedMemory ? readShared(x, query: query, mask: mask, state: state, mode: mode) : nil
        if var next = state {
            next.recurrent[Self.sharedName] = shared?.memory
            next.conv = routed.tails + (shared?.tails ?? [])
            next.advance(memory: routed.memory, by: x.dim(1))
            state = next
        }
        let mixed: Tensor = (shared.map { routed.output + $0.output } ?? routed.output).splitHeads(configuration.heads)
        return outputProjection(outputNorm.normalized(mixed, from: x, gate: gateProjection).joinedHeads())
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: MixtureOfMemoriesConfiguration = configuration
        let tails: Int = ((c.convolutionWidth ?? 1) - 1) * (2 * c.keyDimensions + c.valueDimensions)
        return float32Bytes(batch * c.allMemories * (c.keyDimensions * c.valueHeadDimensions + tails))
    }
}

// Reading and writing.
extension MixtureOfMemories {
    /// What a call reads, `[B, T, H·V]`, and what it leaves behind.
    private struct MemoryRead {
        let output: Tensor
        let memory: Tensor
        let tails: [Tensor]
    }

    /// From the memories that the tokens are routed to: as many sequences as there are pairs of a sequence and a memory.
    private func readRouted(
        _ x: Tensor, query: Tensor, _ routing: MemoryRouting, mask: Tensor?, state: MixerState?, mode: MixerMode?
    ) -> MemoryRead {
        let c: MixtureOfMemoriesConfiguration = configuration
        let steps: RoutedSteps = RoutedSteps(
            indices: routing.indices, memories: c.memories, tokens: mask, capacity: c.room(length: x.dim(1)))
        let written: Tensor = c.singleKeyValue ? packByMemory(sharedProjected(x), steps) : projected(packByMemory(x, steps))
        let result: MemoryRead = read(
            query: packByMemory(query, steps).flattened(from: 0, to: 1), written: written.flattened(from: 0, to: 1),
            memory: state?.memory?.flattened(from: 0, to: 1),
            tails: state?.conv.prefix(convolutions.count).map { $0.flattened(from: 0, to: 1) },
            mask: steps.mask.flattened(from: 0, to: 1), lengths: steps.counts.flattened(), mode: mode)
        return MemoryRead(
            output: unpackByMemory(result.output.unflattenedRows(x.dim(0)), steps, weights: routing.weights),
            memory: result.memory.unflattenedRows(x.dim(0)), tails: result.tails.map { $0.unflattenedRows(x.dim(0)) })
    }

    /// From the memory that sees every token.
    private func readShared(_ x: Tensor, query: Tensor, mask: Tensor?, state: MixerState?, mode: MixerMode?) -> MemoryRead {
        let tails: [Tensor]? = state.map { Array($0.conv.suffix(convolutions.count)) }
        let memory: Tensor? = state?.recurrent[Self.sharedName]
        guard let mask else {
            return read(query: query, written: sharedProjected(x), memory: memory, tails: tails, mask: nil, lengths: nil, mode: mode)
        }
        let real: RealSteps = RealSteps(mask: mask)
        let result: MemoryRead = read(
            query: real.movedToFront(query), written: real.movedToFront(sharedProjected(x)), memory: memory, tails: tails,
            mask: real.frontMask, lengths: real.lengths, mode: mode)
        return MemoryRead(output: real.restored(result.output), memory: result.memory, tails: result.tails)
    }

    /// From memories that each see one row of `[R, L, ·]`, whose real steps come first.
    /// - Parameter written: key, value and controls side by side.
    private func read(
        query: Tensor, written: Tensor, memory: Tensor?, tails: [Tensor]?, mask: Tensor?, lengths: Tensor?, mode: MixerMode?
    ) -> MemoryRead {
        let c: MixtureOfMemoriesConfiguration = configuration
        let sizes: [Int] = [c.keyDimensions, c.valueDimensions, backend.strengthChannels, backend.decayChannels]
        let parts: [Tensor] = written.split(sizes: sizes, axis: -1)
        let (streams, next): (QueryKeyValue, [Tensor]) = QueryKeyValue(query: query, key: parts[0], value: parts[1])
            .convolved(by: convolutions, tails: tails, lengths: lengths)
        let inputs: MemoryInputs = MemoryInputs(
            streams, heads: c.heads, strength: sizes[2] == 0 ? nil : parts[2], decay: sizes[3] == 0 ? nil : parts[3])
        let (output, state): (Tensor, Tensor) = backend(inputs, initialState: memory, mask: mask, mode: mode)
        return MemoryRead(output: output.joinedHeads(), memory: state, tails: next)
    }

    /// Key, value and controls `[B, N, L, ·]` of the tokens `[B, N, L, D]` of each memory, by its own maps in one product.
    private func projected(_ x: Tensor) -> Tensor {
        let kinds: [[Linear]] = [keyProjections, valueProjections, strengthProjections, decayProjections].filter { !$0.isEmpty }
        let weights: [Tensor] = (0..<configuration.memories).map { memory in concatenated(kinds.map { $0[memory].weight }) }
        return einsum("bnld,nod->bnlo", x, stacked(weights))
    }

    /// Key, value and controls `[B, T, ·]` by the maps of the shared memory.
    private func sharedProjected(_ x: Tensor) -> Tensor {
        let maps: [Linear] = [sharedKeyProjection, sharedValueProjection, sharedStrengthProjection, sharedDecayProjection].compactMap { $0 }
        return linear(x, weight: concatenated(maps.map(\.weight)), bias: nil)
    }
}

extension MixtureOfMemories: HasAuxiliaryLoss {
    /// How evenly the newest call spread its tokens; nil before the first and after the loss was taken.
    public var routingBalance: RoutingBalance? { newest.map { RoutingBalance($0.routing, mask: $0.mask) } }

    /// The router's balance in the newest call, without its weight; see ``RoutingBalance/loss``.
    public var auxiliaryLoss: Tensor? { routingBalance?.loss }

    /// The balance of all layers' tokens together, not the sum of the layers' balances; times the weight.
    public static func takeAuxiliaryLoss(of modules: [MixtureOfMemories]) -> Tensor? {
        var balances: [MixtureOfMemoriesConfiguration: RoutingBalance] = [:]
        for module in modules where module.isTraining {
            guard let balance = module.routingBalance else { continue }
            module.newest = nil
            balances[module.configuration] = balances[module.configuration].map { $0 + balance } ?? balance
        }
        return balances.map { $1.loss * $0.auxiliaryLossWeight }.reduce(nil) { ($0 as Tensor?)?.adding($1) ?? $1 }
    }
}

extension Tensor {
    /// `[B · N, …]` as `[B, N, …]`.
    fileprivate func unflattenedRows(_ batch: Int) -> Tensor { reshaped([batch, dim(0) / batch] + shape.dropFirst()) }
}
