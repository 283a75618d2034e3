import NN
import SequenceModels
import Torch

/// A parameter's dotted name, `model.layers.0.self_attn.q_proj.weight`.
public typealias ParameterPath = String

/// An entry of the parameter list that layouts are inferred from.
public struct ShardableParameter: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// A matrix `[out, in]`.
        case linear
        /// A matrix `[in, out]`.
        case transposedLinear
        /// A table `[rows, channels]`.
        case embedding
        /// Biases, norms and whatever else: follows its matrix, or is held by every rank.
        case other
    }

    public let path: ParameterPath
    public let shape: [Int]
    public let kind: Kind

    public init(path: ParameterPath, shape: [Int], kind: Kind) {
        self.path = path
        self.shape = shape
        self.kind = kind
    }

    /// An entry of which only name and shape are known: a matrix is a table where its name says so, else `[out, in]`.
    public init(path: ParameterPath, shape: [Int]) {
        let isTable: Bool = ShardingRules.tableWords.contains { path.lowercased().contains($0) }
        self.init(path: path, shape: shape, kind: shape.count != 2 ? .other : isTable ? .embedding : .linear)
    }

    /// The module that it belongs to.
    var owner: String { path.split(separator: ".").dropLast().joined(separator: ".") }
}

/// Two rules that divide any transformer among ranks by the names and shapes of its parameters (arXiv 2310.16355, section 3.2, and its code).
///
/// 1. Consecutive fully connected matrices are cut along their outputs and inputs in turn, so that two of them need one sum.
/// 2. Of an attention, the queries', keys' and values' matrices are cut along their outputs (heads), the output's along its inputs.
///
/// Embeddings are cut along their rows and a language model's head along its outputs, which is the vocabulary for both. Names that say which side
/// a matrix is on (`up`, `gate`, `wi`, an `in`; `down`, `wo`, an `out`) are believed. An axis that the ranks do not divide is passed over for
/// the other one; a matrix with neither, and all that is no matrix, is held by every rank. Matrices of one name are treated alike in all layers.
///
/// Where the original sorts names, consecutive means the order of the modules here: of the forward pass, as models declare them.
public enum ShardingRules {
    static let tableWords: [String] = ["embed", "wte", "wpe", "shared.", "attention_bias"]

    /// The layout of a parameter list.
    /// - Parameters:
    ///   - parameters: in the order of the modules.
    ///   - shards: ranks that share the model.
    /// - Returns: an entry for every parameter.
    public static func infer(for parameters: [ShardableParameter], shards: Int) -> [ParameterPath: ShardSpec] {
        precondition(shards > 0, "ShardingRules: \(shards) shards")
        var inference: LayoutInference = LayoutInference(parameters, shards: shards)
        return inference.run()
    }

    /// The layout of a module's parameters.
    /// - Parameters:
    ///   - model: whose linear layers and embeddings are divided.
    ///   - shards: ranks that share it.
    public static func infer(for model: Module, shards: Int) -> [ParameterPath: ShardSpec] { infer(for: list(of: model), shards: shards) }

    /// Whether a layer's name asks for its outputs to be cut, be they divisible or not.
    static func namesAnOutputSide(_ path: String) -> Bool { LayerName(path).isOutputSide == true }

    /// The parameter list of a module. What is no plain `Linear`, `TransposedLinear` or `Embedding` is held by every rank.
    static func list(of model: Module) -> [ShardableParameter] {
        let owners: [(name: String, module: Module)] = model.namedModules()
        return owners.flatMap { path, module in
            module.directParameters().map { name, tensor in
                let isMatrix: Bool = name == "weight" && tensor.ndim == 2
                return ShardableParameter(
                    path: path.isEmpty ? name : "\(path).\(name)", shape: tensor.shape, kind: isMatrix ? kind(of: module) : .other)
            }
        }
    }

    private static func kind(of module: Module) -> ShardableParameter.Kind {
        if type(of: module) == Linear.self { return .linear }
        if type(of: module) == TransposedLinear.self { return .transposedLinear }
        return type(of: module) == Embedding.self ? .embedding : .other
    }
}

/// One run of the rules over a list.
private struct LayoutInference {
    /// Which side of a matrix is cut.
    private enum Side { case output, input }

    private let parameters: [ShardableParameter]
    private let shards: Int
    /// The side of the last fully connected matrix, and the block that it was in.
    private var last: (side: Side, block: String)?
    private var sides: [String: Side?] = [:]

    init(_ parameters: [ShardableParameter], shards: Int) {
        self.parameters = parameters
        self.shards = shards
    }

    mutating func run() -> [ParameterPath: ShardSpec] {
        for parameter in parameters where parameter.kind != .other { decide(parameter) }
        var specs: [ParameterPath: ShardSpec] = [:]
        for parameter in parameters where parameter.kind != .other { specs[parameter.path] = spec(of: parameter) }
        let owners: [String: ShardableParameter] = Dictionary(
            parameters.filter { $0.kind != .other }.map { ($0.owner, $0) }, uniquingKeysWith: { first, _ in first })
        for parameter in parameters where parameter.kind == .other {
            specs[parameter.path] = owners[parameter.owner].map { bias(of: $0, like: specs[$0.path] ?? .replicated) } ?? .replicated
        }
        return specs
    }

    /// Decides a name's side when it comes for the first time.
    private mutating func decide(_ parameter: ShardableParameter) {
        let name: LayerName = LayerName(parameter.owner)
        guard sides[name.pattern] == nil else { return }
        let alike: [ShardableParameter] = parameters.filter { $0.kind != .other && LayerName($0.owner).pattern == name.pattern }
        func fits(_ side: Side) -> Bool { alike.allSatisfy { isDivisible($0, side) } }
        let named: Side? = parameter.kind == .embedding ? .output : name.isOutputSide.map { $0 ? .output : .input }
        let block: String = name.block
        let turn: Side = last.map { $0.block == block && $0.side == .output ? .input : .output } ?? .output
        let wanted: Side = named ?? turn
        let side: Side? = fits(wanted) ? wanted : fits(wanted == .output ? .input : .output) ? (wanted == .output ? .input : .output) : nil
        sides[name.pattern] = .some(side)
        if named == nil, let side { last = (side, block) }
    }

    private func isDivisible(_ parameter: ShardableParameter, _ side: Side) -> Bool {
        let size: Int = parameter.shape[axis(parameter, side)]
        return size % (shards * (side == .output ? parts(of: parameter) : 1)) == 0
    }

    /// The axis of the stored tensor. The rows of a table count as its outputs.
    private func axis(_ parameter: ShardableParameter, _ side: Side) -> Int {
        (side == .output) == (parameter.kind != .transposedLinear) ? 0 : 1
    }

    private func parts(of parameter: ShardableParameter) -> Int {
        let outputs: Int = parameter.shape[axis(parameter, .output)]
        let inputs: Int = parameter.shape[axis(parameter, .input)]
        return parameter.kind != .embedding && LayerName(parameter.owner).isFusedProjection && outputs == 3 * inputs ? 3 : 1
    }

    private func spec(of parameter: ShardableParameter) -> ShardSpec {
        let found: Side?? = sides[LayerName(parameter.owner).pattern]
        guard let side: Side = found ?? nil else { return .replicated }
        return ShardSpec(
            axis: axis(parameter, side), parts: side == .output ? parts(of: parameter) : 1,
            isTransposed: parameter.kind == .transposedLinear)
    }

    /// A bias is cut like its matrix' outputs.
    private func bias(of matrix: ShardableParameter, like spec: ShardSpec) -> ShardSpec {
        guard matrix.kind != .embedding, spec.axis == axis(matrix, .output) else { return .replicated }
        return ShardSpec(axis: 0, parts: spec.parts)
    }
}

/// What a layer's dotted name says about its place.
private struct LayerName {
    /// The name with the layers' numbers left out.
    let pattern: String
    /// The part of it up to the last number: the block that it belongs to.
    let block: String
    private let isInAttention: Bool
    /// The component that says what the layer is.
    private let word: String

    private static let vague: Set<String> = ["dense", "linear", "proj", "layer"]

    init(_ owner: String) {
        let components: [String] = owner.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }
        pattern = components.joined(separator: ".")
        block = components.prefix((components.lastIndex(of: "*") ?? -1) + 1).joined(separator: ".")
        isInAttention = components.contains { $0.lowercased().contains("attention") || $0.lowercased().contains("attn") }
        var named: ArraySlice<String> = components[...]
        while let last = named.last, Self.vague.contains(last.lowercased()) || last == "*", named.count > 1 { named = named.dropLast() }
        word = named.last?.lowercased() ?? ""
    }

    private var parts: [Substring] { word.split(separator: "_") }

    /// Queries, keys and values from one matrix, one after another.
    var isFusedProjection: Bool { ["c_attn", "qkv", "qkv_proj", "in_proj", "wqkv"].contains(word) }

    /// True where the name asks for the outputs to be cut, false for the inputs, nil where it says nothing.
    var isOutputSide: Bool? {
        if isFusedProjection || ["q_proj", "k_proj", "v_proj"].contains(word) { return true }
        if word == "o_proj" { return false }
        if isInAttention, let first = word.first, let end = word.last {
            if "qkv".contains(first) || "qkv".contains(end) { return true }
            if first == "o" || end == "o" || word == "c_proj" { return false }
        }
        if word.hasPrefix("up") || word.hasPrefix("gate") || word.hasPrefix("wi") || parts.contains("in") { return true }
        if word.hasPrefix("down") || word.hasPrefix("wo") || parts.contains("out") { return false }
        return word.hasPrefix("head") || word.hasSuffix("head") ? true : nil
    }
}
