import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// A mixture of memories against its definition.
@Suite(.ownRandomNumbers) struct MixtureOfMemoriesTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func layer(_ configuration: MixtureOfMemoriesConfiguration) -> MixtureOfMemories {
        let layer: MixtureOfMemories = MixtureOfMemories(configuration)
        layer.to(dtype: .float64, device: .cpu)
        let generator: RandomGenerator = RandomGenerator(seed: 11, device: .cpu)
        layer.initialize(generator: generator) { module, _ in module is Linear ? .normal(standardDeviation: 0.5) : nil }
        return layer
    }

    /// Every memory runs over all tokens, its decay, strength, key and value switched off where the token is not its own.
    private func dense(_ layer: MixtureOfMemories, _ x: Tensor) -> Tensor {
        let c: MixtureOfMemoriesConfiguration = layer.configuration
        let routing: MemoryRouting = layer.router(x)
        func heads(_ projection: Linear) -> Tensor { projection(x).silu().splitHeads(c.heads) }
        func read(_ index: Int?) -> Tensor {
            let maps: [Linear?] =
                index.map {
                    [layer.keyProjections[$0], layer.valueProjections[$0], layer.strengthProjections[$0], layer.decayProjections[$0]]
                }
                ?? [layer.sharedKeyProjection, layer.sharedValueProjection, layer.sharedStrengthProjection, layer.sharedDecayProjection]
            let memory: GatedDeltaMemory = layer.backend as! GatedDeltaMemory
            let gate: Tensor = -memory.rateLogarithm.exp() * (maps[3]!(x) + memory.stepBias).softplus()
            let own: Tensor? = index.map { (routing.indices .== $0).any(axis: 2).asType(.float64) }
            return gatedDeltaRule(
                q: heads(layer.queryProjection).l2Normalized(), k: heads(maps[0]!).l2Normalized().masked(by: own),
                v: heads(maps[1]!), logGate: gate.masked(by: own), beta: maps[2]!(x).sigmoid().masked(by: own), mode: .recurrent
            ).output
        }
        var mixed: Tensor = read(nil)
        for index in 0..<c.memories {
            let weight: Tensor = (routing.weights * (routing.indices .== index).asType(.float64)).sum(axis: 2)
            mixed = mixed + read(index) * weight.reshaped(x.dim(0), x.dim(1), 1, 1)
        }
        let gated: Tensor = layer.outputNorm(mixed, gate: layer.gateProjection!(x).splitHeads(c.heads))
        return layer.outputProjection(gated.joinedHeads())
    }

    @Test func gatheredExecutionIsDenseMaskedExecution() {
        let layer: MixtureOfMemories = layer(
            .init(dimensions: 10, heads: 2, headDimensions: 4, valueHeadDimensions: 6, memories: 4, topK: 2, convolutionWidth: nil))
        let inputs: [Tensor] = [normal([2, 23, 10], seed: 1)]
        let parameters: [Tensor] = layer.parameters()
        func results(_ function: (Tensor) -> Tensor) -> [Tensor] {
            let x: Tensor = inputs[0].detached().requiringGrad()
            let output: Tensor = function(x)
            let weights: Tensor = normal(output.shape, seed: 2)
            return [output.detached()] + gradients(of: [(output * weights).sum()], withRespectTo: [x] + parameters)
        }
        for (found, expected) in zip(results { layer($0, mode: .chunkwise(8)) }, results { dense(layer, $0) }) {
            #expect(scaledError(found, expected) < 1e-10)
        }
    }

    @Test func oneMemoryIsAGatedDeltaNet() throws {
        let mixture: MixtureOfMemories = layer(
            .init(dimensions: 8, heads: 2, headDimensions: 4, valueHeadDimensions: 6, memories: 1, topK: 1, sharedMemory: false))
        let plain: GatedDeltaNet = GatedDeltaNet(.init(dimensions: 8, heads: 2, headDimensions: 4, valueHeadDimensions: 6))
        plain.to(dtype: .float64, device: .cpu)
        let weights: [(String, Tensor)] = mixture.namedParameters().filter { !$0.name.hasPrefix("gate.") }.map {
            ($0.name.replacingOccurrences(of: "_proj.0.", with: "_proj."), $0.tensor.detached())
        }
        try plain.load(Dictionary(uniqueKeysWithValues: weights))
        let x: Tensor = normal([2, 19, 8], seed: 3)
        #expect(relativeError(mixture(x, mode: .chunkwise(8)), plain(x, mode: .chunkwise(8))) < 1e-14)
    }

    @Test func aMemoryThatIsNotChosenStaysAsItIs() {
        let layer: MixtureOfMemories = layer(.init(dimensions: 8, heads: 2, headDimensions: 4, memories: 5, topK: 2))
        var state: MixerState = layer.initialState(batch: 3, dtype: .float64, device: .cpu)
        _ = layer(normal([3, 12, 8], seed: 4), continuing: &state)
        for length in [1, 4] {
            let x: Tensor = normal([3, length, 8], seed: 5)
            let before: MixerState = state
            _ = layer(x, continuing: &state, mode: length == 1 ? .recurrent : .chunkwise(2))
            let chosen: [Int] = layer.router(x).indices.array()
            var untouched: Int = 0
            for row in 0..<3 {
                let own: Set<Int> = Set(chosen[row * length * 2..<(row + 1) * length * 2])
                for memory in 0..<5 {
                    func at(_ tensor: Tensor) -> Tensor { tensor.selected(axis: 0, index: row).selected(axis: 0, index: memory) }
                    let same: [Bool] = ([state.memory!] + state.conv.prefix(3)).enumerated().map { index, tensor in
                        at(tensor).isEqual(to: at(index == 0 ? before.memory! : before.conv[index - 1]))
                    }
                    #expect(same == Array(repeating: !own.contains(memory), count: 4), "row \(row), memory \(memory), T = \(length)")
                    untouched += own.contains(memory) ? 0 : 1
                }
            }
            #expect(untouched > 0)
        }
    }

    @Test func theOrderOfMemoriesDoesNotMatter() throws {
        let configuration: MixtureOfMemoriesConfiguration = .init(dimensions: 8, heads: 2, headDimensions: 4, memories: 3, topK: 2)
        let (one, other): (MixtureOfMemories, MixtureOfMemories) = (layer(configuration), layer(configuration))
        let order: [Int] = [2, 0, 1]
        var weights: [String: Tensor] = Dictionary(uniqueKeysWithValues: one.namedParameters().map { ($0.name, $0.tensor.detached()) })
        let original: [String: Tensor] = weights
        for (place, source) in order.enumerated() {
            for kind in ["k", "v", "b", "a"] { weights["\(kind)_proj.\(place).weight"] = original["\(kind)_proj.\(source).weight"] }
        }
        weights["gate.weight"] = original["gate.weight"]?.indexSelect(axis: 0, indices: Tensor(order, device: .cpu))
        try other.load(weights)
        let x: Tensor = normal([2, 14, 8], seed: 6)
        #expect(relativeError(other(x), one(x)) < 1e-12)
    }

    @Test func everyParameterIsTrained() {
        let layer: MixtureOfMemories = layer(.init(dimensions: 8, heads: 2, headDimensions: 4))
        let parameters: [(name: String, tensor: Tensor)] = layer.namedParameters()
        let output: Tensor = layer(normal([2, 16, 8], seed: 7))
        let found: [Tensor] = gradients(of: [output.square().sum()], withRespectTo: parameters.map(\.tensor))
        for (parameter, gradient) in zip(parameters, found) {
            #expect(gradient.abs().max().item(Double.self) > 0, "\(parameter.name)")
        }
    }

    @Test func capacityBoundsWhatAMemoryTakes() throws {
        var configuration: MixtureOfMemoriesConfiguration = .init(dimensions: 8, heads: 2, headDimensions: 4, memories: 2, topK: 2)
        #expect(configuration.room(length: 9) == nil)
        configuration.capacity = 1
        #expect(configuration.room(length: 9) == 5 && configuration.room(length: 1) == 1)
        // Both memories are always chosen and have room for the newer half only, so an old token is written nowhere but in the shared memory.
        configuration.sharedMemory = false
        configuration.convolutionWidth = nil
        let limited: MixtureOfMemories = layer(configuration)
        #expect(!limited.isCausal)
        let x: Tensor = normal([1, 8, 8], seed: 8)
        let changed: Tensor = concatenated(
            [x.narrowed(axis: 1, start: 0, length: 4) + 1, x.narrowed(axis: 1, start: 4, length: 4)], axis: 1)
        let (found, expected): (Tensor, Tensor) = (limited(changed), limited(x))
        #expect(found.narrowed(axis: 1, start: 4, length: 4).isEqual(to: expected.narrowed(axis: 1, start: 4, length: 4)))
        #expect(found.narrowed(axis: 1, start: 0, length: 4).countNonzero().item(Int.self) == 0)
        // Room for all is no limit.
        configuration.capacity = 8
        let (roomy, unlimited): (MixtureOfMemories, MixtureOfMemories) = (layer(configuration), layer(unlimitedCopy(of: configuration)))
        try unlimited.load(Dictionary(uniqueKeysWithValues: roomy.stateTensors()))
        #expect(relativeError(roomy(x), unlimited(x)) < 1e-14)
    }

    private func unlimitedCopy(of configuration: MixtureOfMemoriesConfiguration) -> MixtureOfMemoriesConfiguration {
        var result: MixtureOfMemoriesConfiguration = configuration
        result.capacity = nil
        return result
    }

    // MARK: The auxiliary loss in training

    private func model(layers: Int = 2) throws -> LanguageModel {
        let mixer: MixerConfiguration = MixerConfiguration(.mom, heads: 2, memories: 3, activeMemories: 1)
        return try LanguageModel(LanguageModelConfiguration(vocabularySize: 11, dimensions: 8, layers: layers, mixer: mixer))
    }

    private var tokens: Tensor { Tensor((0..<24).map { ($0 * 7) % 11 }, [2, 12], device: .cpu) }

    @Test func theAuxiliaryLossPoolsTheLayersAndIsTakenOnce() throws {
        let model: LanguageModel = try model()
        #expect(model.takeAuxiliaryLoss() == nil)
        _ = model(tokens)
        let mixers: [MixtureOfMemories] = model.blocks.compactMap { $0.mixer as? MixtureOfMemories }
        let balances: [RoutingBalance] = mixers.compactMap(\.routingBalance)
        let pooled: Double = (balances[0] + balances[1]).loss.item(Double.self) * 0.01
        let taken: Tensor? = model.takeAuxiliaryLoss()
        #expect(taken.map { abs($0.item(Double.self) - pooled) < 1e-7 } == true)
        #expect(model.takeAuxiliaryLoss() == nil && mixers[0].auxiliaryLoss == nil)
    }

    @Test func trainingLossesHaveItAndScoresDoNot() throws {
        let model: LanguageModel = try model(layers: 1)
        let batch: TokenBatch = TokenBatch(
            tokens: (0..<12).map { Int32($0 % 11) }, targets: (0..<12).map { Int32(($0 + 1) % 11) }, rows: 2)
        let trained: Double = model.loss(batch).item()
        model.train(false)
        let scored: Double = model.loss(batch).item()
        let mixer: MixtureOfMemories = model.blocks[0].mixer as! MixtureOfMemories
        let balance: Double = mixer.auxiliaryLoss!.item() * mixer.configuration.auxiliaryLossWeight
        #expect(abs(trained - scored - balance) < 1e-6 && balance > 0.009)
    }

    @Test func recipesNameMixtures() throws {
        let mixer: any SequenceMixer = try MixerConfiguration(
            .mom, heads: 2, expandKey: 0.5, memories: 6, activeMemories: 3, sharedMemory: false, memoryBackend: .delta
        ).make(dimensions: 16)
        let c: MixtureOfMemoriesConfiguration = (mixer as! MixtureOfMemories).configuration
        #expect(
            c.memories == 6 && c.topK == 3 && !c.sharedMemory && c.backend == .delta && c.headDimensions == 4 && c.valueHeadDimensions == 8)
        #expect(throws: ConfigurationError.self) { try MixerConfiguration(.mom, memories: 2, activeMemories: 3).make(dimensions: 16) }
        #expect(throws: ConfigurationError.self) { try MixerConfiguration(.mom, memories: 0).make(dimensions: 16) }
        #expect(try MixerConfiguration(.gatedDeltanet, heads: 2, expandValue: 2).make(dimensions: 16) is GatedDeltaNet)
        #expect(try MixerConfiguration(.hgrn).make(dimensions: 16) is HGRN)
    }
}
