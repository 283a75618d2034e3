import NN
import SequenceModels
import Torch

/// Smaller and larger models of one function's shape, made from each other (arXiv 2404.07999).
///
/// Widths: a weight `W [out, in]` becomes `M W N`, where M maps the outputs and N is ``CoalescingMap``'s map of the inputs: averaged rows and summed columns
/// on the way down, doubled rows and halved columns on the way up, so that the function keeps its size. Depths: a shallow layer is the mean of its deep ones,
/// a deep layer a copy of its shallow one. Where the embedding is the head too, its doubled channels would double the logits: the configuration's
/// `logitScale` takes that back, which the channels' groups have to be of one size for.
public enum Multilevel {
    /// A smaller model by the means of a larger one's channels and layers.
    /// - Parameters:
    ///   - model: stays as it is.
    ///   - width: maps of the model's widths; nil keeps them.
    ///   - depth: groups of the model's layers; nil keeps them.
    public static func coalesce(_ model: PlainTransformer, width: WidthMaps? = nil, depth: DepthMap? = nil) throws -> PlainTransformer {
        let maps: WidthMaps = width ?? .identity(model.configuration)
        let layers: DepthMap = depth ?? .identity(model.configuration.layers)
        precondition(
            layers.large == model.configuration.layers,
            "Multilevel: groups of \(layers.large) layers, the model has \(model.configuration.layers)")
        maps.check(model.configuration, isLarge: true)
        return transformed(
            model, to: try maps.small(model.configuration, layers: layers.small), sources: layers.groups, maps, side: \.average)
    }

    /// A larger model of a smaller one's function: exactly that where only widths grow (but for the norms' epsilon), nearly where layers are copied.
    /// - Parameters:
    ///   - model: stays as it is.
    ///   - width: maps of the *larger* model's widths, as it was coalesced by; nil keeps them.
    ///   - depth: groups of the larger model's layers; nil keeps them.
    public static func decoalesce(_ model: PlainTransformer, width: WidthMaps? = nil, depth: DepthMap? = nil) throws -> PlainTransformer {
        let maps: WidthMaps = width ?? .identity(model.configuration)
        let layers: DepthMap = depth ?? .identity(model.configuration.layers)
        precondition(
            layers.small == model.configuration.layers,
            "Multilevel: \(layers.small) groups of layers, the model has \(model.configuration.layers)")
        maps.check(model.configuration, isLarge: false)
        let sources: [[Int]] = (0..<layers.large).map { layer in [layers.groups.firstIndex { $0.contains(layer) } ?? 0] }
        return transformed(model, to: try maps.large(model.configuration, layers: layers.large), sources: sources, maps, side: \.spread)
    }

    /// `base = (1 - alpha) · base + alpha · update`, in place: what breaks the symmetry of doubled channels, which would get equal gradients for ever.
    /// - Parameters:
    ///   - base: gets the mean.
    ///   - update: a model of the same parameters.
    ///   - alpha: in 0 … 1.
    public static func interpolate(base: Module, update: Module, alpha: Double) {
        precondition((0...1).contains(alpha), "Multilevel: alpha is \(alpha); it has to lie in 0 ... 1")
        let targets: [(name: String, tensor: Tensor)] = base.namedParameters()
        let sources: [String: Tensor] = Dictionary(uniqueKeysWithValues: update.namedParameters().map { ($0.name, $0.tensor) })
        noGrad {
            for (name, target) in targets {
                guard let source = sources[name], source.shape == target.shape else {
                    preconditionFailure("Multilevel: \(name) of \(target.shape) has no counterpart of its shape in the update")
                }
                target.copy_(from: alpha == 1 ? source : target.interpolated(to: source, weight: alpha))
            }
        }
    }

    /// A model of another shape whose parameters are those of `model`, with layer i the mean of `sources[i]` and widths mapped.
    private static func transformed(
        _ model: PlainTransformer, to configuration: PlainTransformerConfiguration, sources: [[Int]], _ widths: WidthMaps,
        side: KeyPath<CoalescingMap, Tensor>
    ) -> PlainTransformer {
        let result: PlainTransformer = PlainTransformer(configuration)
        result.to(dtype: model.embedding.weight.dtype, device: model.device)
        let old: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.namedParameters().map { ($0.name, $0.tensor.detached()) })
        var new: [String: Tensor] = [:]
        noGrad {
            for (name, target) in result.namedParameters() {
                let layers: [Tensor] = sourceNames(of: name, sources).compactMap { old[$0]?.asType(.float64) }
                precondition(!layers.isEmpty, "Multilevel: the model has no parameter for \(name)")
                let mean: Tensor = layers.dropFirst().reduce(layers[0], +) / Double(layers.count)
                let value: Tensor = mapped(mean, role: MappedRole(parameter: name), widths) { $0[keyPath: side].to(device: mean.device) }
                new[name] = value.asType(target.dtype)
            }
        }
        result.update(parameters: new)
        result.train(model.isTraining)
        return result
    }

    /// `blocks.i.rest` in the layers that layer i is made of.
    private static func sourceNames(of name: String, _ sources: [[Int]]) -> [String] {
        let parts: [Substring] = name.split(separator: ".", maxSplits: 2)
        guard parts.count == 3, parts[0] == "blocks", let layer = Int(parts[1]) else { return [name] }
        return sources[layer].map { "blocks.\($0).\(parts[2])" }
    }

    private static func mapped(
        _ value: Tensor, role: MappedRole, _ widths: WidthMaps, side: (CoalescingMap) -> Tensor
    ) -> Tensor {
        var result: Tensor = value
        if let output = role.output { result = side(widths[keyPath: output]).matmul(result) }
        if let input = role.input { result = result.matmul(CoalescingMap.inputSide(of: side(widths[keyPath: input]))) }
        if role.isTable { result = result.matmul(side(widths.embedding).transposed()) }
        return result
    }
}

/// Which axes of a parameter are mapped, and by what.
private struct MappedRole {
    var output: KeyPath<WidthMaps, CoalescingMap>?
    var input: KeyPath<WidthMaps, CoalescingMap>?
    /// A table of tokens or positions, whose rows are vectors of the residual stream.
    var isTable: Bool = false

    init(parameter name: String) {
        let isWeight: Bool = name.hasSuffix(".weight")
        if name == "embedding.weight" || name == "positions.weight" {
            isTable = true
        } else if name == "head.weight" {
            input = \.embedding
        } else if name.contains(".q_proj.") || name.contains(".k_proj.") {
            (output, input) = (\.queryKey, isWeight ? \.embedding : nil)
        } else if name.contains(".v_proj.") {
            (output, input) = (\.value, isWeight ? \.embedding : nil)
        } else if name.contains(".o_proj.") {
            (output, input) = (\.embedding, isWeight ? \.value : nil)
        } else if name.contains(".expansion.") {
            (output, input) = (\.feedForward, isWeight ? \.embedding : nil)
        } else if name.contains(".contraction.") {
            (output, input) = (\.embedding, isWeight ? \.feedForward : nil)
        } else {
            // Gains and shifts of the norms.
            output = \.embedding
        }
    }
}

extension WidthMaps {
    /// Joins `members` heads, and the channels of stream and feed-forward in the same way.
    public static func stack(_ configuration: PlainTransformerConfiguration, members: Int = 2) -> WidthMaps {
        let headSize: Int = configuration.dimensions / configuration.heads
        let stream: CoalescingMap = .stack(dims: configuration.dimensions, headSize: headSize, members: members)
        return WidthMaps(
            embedding: stream, queryKey: stream, value: stream,
            feedForward: .stack(dims: configuration.hiddenDimensions, members: members))
    }

    static func identity(_ configuration: PlainTransformerConfiguration) -> WidthMaps { stack(configuration, members: 1) }

    func check(_ configuration: PlainTransformerConfiguration, isLarge: Bool) {
        let members: [Double] = (embedding.spread .> 0).asType(.float64).sum(axis: 0).array(Double.self)
        precondition(
            !configuration.tiedHead || members.allSatisfy { $0 == members[0] },
            "Multilevel: with a tied head all channels have to be of groups of one size")
        func width(_ map: CoalescingMap) -> Int { isLarge ? map.large : map.small }
        let stream: [Int] = [width(embedding), width(queryKey), width(value)]
        precondition(
            stream.allSatisfy { $0 == configuration.dimensions } && width(feedForward) == configuration.hiddenDimensions,
            "Multilevel: maps of widths \(stream) and \(width(feedForward)), the model has \(configuration.dimensions) and \(configuration.hiddenDimensions)"
        )
    }

    /// The configuration after coalescing; heads keep their size.
    func small(_ configuration: PlainTransformerConfiguration, layers: Int) throws -> PlainTransformerConfiguration {
        try resized(configuration, layers: layers) { $0.small }
    }

    /// The configuration after taking apart.
    func large(_ configuration: PlainTransformerConfiguration, layers: Int) throws -> PlainTransformerConfiguration {
        try resized(configuration, layers: layers) { $0.large }
    }

    private func resized(
        _ c: PlainTransformerConfiguration, layers: Int, _ width: (CoalescingMap) -> Int
    ) throws -> PlainTransformerConfiguration {
        let headSize: Int = c.dimensions / c.heads
        precondition(width(queryKey) % headSize == 0, "Multilevel: \(width(queryKey)) channels do not make heads of \(headSize)")
        // A tied head has its inputs on the embedding's output side: products of doubled channels are twice as large.
        let scale: Double = c.tiedHead ? c.logitScale * Double(c.dimensions) / Double(width(embedding)) : c.logitScale
        return try PlainTransformerConfiguration(
            vocabularySize: c.vocabularySize, dimensions: width(embedding), layers: layers, heads: width(queryKey) / headSize,
            hiddenDimensions: width(feedForward), maximumContext: c.maximumContext, rotary: c.rotary, tiedHead: c.tiedHead,
            logitScale: scale)
    }
}
