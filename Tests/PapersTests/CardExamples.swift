import Efficiency
import NN
import Optim
import SequenceModels
import Torch
import Training

/// The programs of the cards, word for word, so that the compiler reads what the page shows; `CardTests` compares the two.
enum CardExamples {
    static func dctAdamW() throws {
        let layer = Linear(256, 512)
        let settings = try DCTAdamWConfiguration(learningRate: 1e-3, rank: 32, errorFeedback: .bits8)
        let optimizer = try DCTAdamW(parameters: layer.parameters(), configuration: settings)
        let x = Tensor.normal([64, 256])
        let (_, gradients) = valueAndGrad(of: layer) { layer(x).square().mean() }
        optimizer.step(gradients)
        print(optimizer.stateByteCount)
    }

    static func deltanet() throws {
        let layer = DeltaNet(DeltaNetConfiguration(dimensions: 64, heads: 4))
        let x = Tensor.normal([2, 128, 64])
        print(layer(x, mode: .chunkwise(32)).shape)
        var state = layer.initialState(batch: 2)
        let token = x.selected(axis: 1, index: 0)
        print(layer.step(token, state: &state).shape, state.byteCount)
    }

    static func duoLLM() throws {
        let settings = try PlainTransformerConfiguration(
            vocabularySize: 256, dimensions: 64, layers: 4, heads: 2)
        let model = DuoTransformer(settings, smallHidden: 16)
        let text = Tensor.randomIntegers([2, 33], high: 256)
        let (tokens, targets) = (text[0..., ..<32], text[0..., 1...])
        let routes = OracleRouter(mode: .causalGreedy, budget: 1)(model, tokens: tokens, targets: targets)
        print(routes.loss, routes.bigUse)
    }

    static func fourierHead() throws {
        let head = FourierHead(dim: 64, bins: 50, frequencies: 12)
        let hidden = Tensor.normal([8, 64])
        print(head(hidden).shape)
        print(head.density(hidden).sample(100).shape)
    }

    static func gammaMoD() throws {
        let settings = try PlainTransformerConfiguration(vocabularySize: 64, dimensions: 64, layers: 4, heads: 2)
        let model = MultimodalDecoder(PlainTransformer(settings), patchDimensions: 49)
        let sample = (patches: Tensor.normal([8, 32, 49]), tokens: Tensor.zeros([8, 5], dtype: .int64))
        let plan = MoDPlan(ranks: ARank.compute(model, samples: [sample]), converted: 3)
        try GammaMoD.convert(model, plan: plan, routing: DepthRouting(imageTokens: 32))
        print(model(patches: sample.patches, tokens: sample.tokens).shape)
    }

    static func gla() throws {
        let layer = GatedLinearAttention(GatedLinearAttentionConfiguration(dimensions: 64, heads: 2))
        let x = Tensor.normal([2, 256, 64])
        print(layer(x).shape)
        print(layer.logDecays(x).mean().item(Float.self))
    }

    static func hyperzzw() throws {
        let block = SFNEConfiguration(side: 16, globalHidden: 16, localHidden: 16)
        let settings = try TerminatorConfiguration.compact(inputChannels: 1, classes: 10, block: block)
        let model = Terminator(settings)
        let (logits, slowLoss) = model(Tensor.normal([8, 1, 16, 16]))
        print(logits.shape, slowLoss.item(Float.self))
    }

    static func lamb() throws {
        let layer = Linear(64, 64)
        let optimizer = try LAMB(parameters: layer.parameters(), configuration: LAMBConfiguration(learningRate: 0.01))
        let x = Tensor.normal([512, 64])
        let (_, gradients) = valueAndGrad(of: layer) { layer(x).square().mean() }
        optimizer.step(gradients)
        var log = TrustRatioLog()
        log.record(optimizer)
    }

    static func layerwiseQuantization() throws {
        let settings = try PlainTransformerConfiguration(vocabularySize: 65, dimensions: 96, layers: 8, heads: 4)
        let model = PlainTransformer(settings)
        let tokens = Tensor.zeros([4, 64], dtype: .int64)
        let order = LayerImportance.lim(model, calibration: [tokens]).ordering
        let plan = try BitPlan.fit(averageBits: 3, ordering: order, high: 4, low: 2)
        print(try quantize(model, plan: plan, using: GroupQuantizer()).effectiveBits)
    }

    static func lGreCo() throws {
        let bytes = try ProcessGroup.onThreads(2) { group in
            let exchange = LGreCo(compressor: TopKCompressor(), reference: 0.05, startIteration: 0)
            let gradients = [Tensor.normal([64, 64], device: .cpu) * 0.01, Tensor.normal([10, 64], device: .cpu)]
            _ = try exchange.average(gradients, over: group)
            return [exchange.adjustments[0].size, exchange.adjustments[0].referenceSize]
        }
        print(bytes[0])
    }

    static func liger() throws {
        let settings = try LlamaConfiguration(
            vocabularySize: 256, dimensions: 64, hiddenDimensions: 176, layers: 2, heads: 4)
        let teacher = LlamaModel(settings)
        let student = try linearize(teacher, into: .gla, window: 32)
        let tokens = Tensor.zeros([1, 128], dtype: .int64)
        print(student(tokens).shape)
    }

    static func lightnet() throws {
        let settings = LightNetConfiguration(dimensions: 64, heads: 2, causal: false, gridShape: [8, 8])
        let layer = LightNetAttention(settings)
        let patches = Tensor.normal([2, 64, 64])  // 8 rows of 8 patches, read in one scan
        print(layer(patches).shape)
    }

    static func lit() throws {
        let layer = SimplifiedLinearAttention(dimensions: 96, heads: 2, grid: 8)
        print(layer(Tensor.normal([4, 64, 96])).shape)
        let settings = try DiTConfiguration(
            imageSize: 16, channels: 1, classes: 10, dimensions: 96, depth: 4, heads: 2, attention: .linear)
        let model = try DiT(settings)
        print(model.sample(labels: [3, 7], steps: 20, guidance: 2).shape)
    }

    static func lssl() throws {
        let settings = try LSSLConfiguration(features: 32, order: 64, measure: .legs, transition: .shared)
        let layer = LSSL(settings)
        let x = Tensor.normal([1, 4096, 32])
        print(layer(x).shape)
        layer.rate = 2  // the same system, for data that keeps every second sample
        print(layer(x[0..., .stride(by: 2)]).shape)
    }

    static func matryoshkaKV() throws {
        let settings = try PlainTransformerConfiguration(
            vocabularySize: 256, dimensions: 64, layers: 2, heads: 2, rotary: true)
        let model = PlainTransformer(settings)
        let text = Tensor.randomIntegers([4, 32], high: 256)
        model.attachKVProjections(try KVProjection.pca(model, calibration: [text]))
        model.setKVRanks(try RankSearch.greedy(model, calibration: text, budget: 0.5))
        print(model(text).shape, model.stateBytes(batch: 1, length: 1024))
    }

    static func maestro() throws {
        let model = Sequential(Linear(64, 32), ActivationLayer(.relu), Linear(32, 10))
        Maestro.decompose(model)
        var sampler = OrderedDropoutSampler(for: model, seed: 0)
        print(model(Tensor.normal([8, 64]), width: sampler.next()).shape)
        print(Maestro.shrink(model), Maestro.ranks(model, macBudget: 1000))
    }

    static func memoryFormer() throws {
        let layer = MemoryLayer(128, 160, bits: 8)
        print(layer(Tensor.normal([2, 64, 128])).shape, CostModel(of: layer).linearMultiplyAccumulates)
        let settings = try MemoryFormerConfiguration(
            vocabularySize: 65, dimensions: 128, layers: 4, heads: 4)
        let model = MemoryFormer(settings)
        print(model(Tensor.zeros([1, 32], dtype: .int64)).shape)
    }

    static func mom() throws {
        let settings = MixtureOfMemoriesConfiguration(dimensions: 64, heads: 2, headDimensions: 32, memories: 4, topK: 2)
        let layer = MixtureOfMemories(settings)
        print(layer(Tensor.normal([2, 128, 64])).shape)
        print(layer.auxiliaryLoss?.item(Float.self) ?? 0)
    }

    static func multilevel() throws {
        let settings = try PlainTransformerConfiguration(vocabularySize: 65, dimensions: 64, layers: 4, heads: 4)
        let model = PlainTransformer(settings)
        let half = VCycle.Descent(width: .stack(settings), depth: .adjacent(layers: 4))
        let steps = VCycle.Steps(initial: 150, smallest: 750, final: 900)
        let cycle = VCycle(levels: [half], steps: steps, alpha: 0.5, rates: [3e-3, 6e-3])
        try cycle.train(model) { model, phase in
            print(phase.kind, phase.steps, model.parameterCount)
        }
    }

    static func redco() throws {
        let counts = try ProcessGroup.onThreads(2) { group in
            let settings = try PlainTransformerConfiguration(vocabularySize: 64, dimensions: 32, layers: 2, heads: 4)
            let model = PlainTransformer(settings)
            let layout = try AutoShard.apply(model, over: group)
            return [layout.localPairs.count, model.parameterCount]
        }
        print(counts)
    }

    static func sMamba() throws {
        let settings = try SMambaConfiguration(lookback: 96, horizon: 24, dimensions: 64)
        let model = SMamba(settings)
        let windows = ForecastInput(values: Tensor.normal([8, 96, 7]), starts: Array(0..<8))
        print(model.forecast(windows).shape)
    }

    static func smetimes() throws {
        let data = try ForecastProtocol(TimeSeries.read(path: "ETTh1.csv"), split: .ett).data
        let backbone = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 256, dimensions: 128, layers: 4, mixer: MixerConfiguration(.softmax)))
        let model = SMETimes(try SMETimesConfiguration(segment: 48), backbone: backbone, tokenizer: ByteTokenizer())
        model.prepare(for: data)
        try print(model.forecast(data.lastWindow(lookback: 672, path: "ETTh1.csv")).shape)
    }

    static func snnk() throws {
        let x = Tensor.normal([8, 784])
        print(SNNKLinear(784, 512, count: 64)(x).shape)
        let network = MLP([784, 512, 512, 10])
        let bundled = Bundling.bundle(network, range: 0..<2, count: 64)
        print(bundled(x).shape, network.parameterCount, bundled.parameterCount)
    }

    static func transnormer() throws {
        let settings = try TransNormerConfiguration(vocabularySize: 256, dimensions: 128, layers: 4, variant: .t1)
        let model = try TransNormer(settings)
        let tokens = Tensor.zeros([1, 64], dtype: .int64)
        print(model(tokens).shape)
    }
    static func welore() throws {
        let settings = try LlamaConfiguration(
            vocabularySize: 256, dimensions: 64, hiddenDimensions: 176, layers: 2, heads: 4)
        let model = LlamaModel(settings)
        let plan = try WeLore.plan(WeLore.singularSpectra(model), targetERR: 0.5)
        WeLore.apply(plan, to: model)
        print(plan.achievedReduction, CostModel(of: model).parameters)
    }
}
