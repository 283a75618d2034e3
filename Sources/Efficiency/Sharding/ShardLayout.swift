import NN
import Torch
import Training

/// How a model that ``AutoShard`` has divided lies on the ranks: what is needed to save it, to train it and to say what it costs.
public struct ShardLayout: ModelDivision {
    /// The ranks that share the model.
    public let group: ProcessGroup
    /// The layout of every parameter, by its name. The stored form is the undivided model's.
    public let specs: [ParameterPath: ShardSpec]
    /// Parameters that every rank holds but of which each sees a share of the gradient: they are to be summed over the ranks.
    public let partialParameters: Set<ParameterPath>
    /// Pairs of layers between which each rank keeps its own channels, and those between which all are joined, by the path of the first layer.
    public let localPairs: [String]
    public let joinedPairs: [String]

    public func isDivided(_ name: ParameterPath) -> Bool { specs[name]?.axis != nil }

    public func isPartial(_ name: ParameterPath) -> Bool { partialParameters.contains(name) }

    /// The names of a model's parameters by their tensors.
    static func names(of model: Module) -> [ObjectIdentifier: ParameterPath] {
        Dictionary(model.namedParameters().map { (ObjectIdentifier($0.tensor), $0.name) }, uniquingKeysWith: { first, _ in first })
    }

    /// The whole tensor of which the ranks hold pieces; all have to call.
    /// - Parameters:
    ///   - piece: of this rank.
    ///   - name: the parameter's.
    public func whole(_ piece: Tensor, named name: ParameterPath) throws -> Tensor {
        let spec: ShardSpec = specs[name] ?? .replicated
        if spec.axis == nil { return spec.assembled([piece.detached()]) }
        return spec.assembled(try group.allGather(piece.detached().contiguous()))
    }

    /// This rank's piece of a parameter or of a tensor of its shape, such as an optimizer's moment.
    /// - Throws: ``ShardingError`` where the ranks do not divide its axis.
    public func piece(of tensor: Tensor, named name: ParameterPath) throws -> Tensor {
        let spec: ShardSpec = specs[name] ?? .replicated
        if let axis = spec.axis, axis >= tensor.ndim || tensor.dim(axis) % (spec.parts * group.worldSize) != 0 {
            throw ShardingError("\(name) of shape \(tensor.shape) cannot be shared by \(group.worldSize) ranks along axis \(axis)")
        }
        return spec.piece(of: tensor, rank: group.rank, shards: group.worldSize)
    }

    /// One line a name, layers of one name together: which axis is cut.
    public func table() -> String {
        let lines: [String] = specs.sorted { $0.key < $1.key }.map { name, spec in
            let place: String = spec.axis.map { "axis \($0)" + (spec.parts > 1 ? " in \(spec.parts) parts" : "") } ?? "every rank"
            let pattern: String = name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
            return "\(pattern): \(place)"
        }
        return Set(lines).sorted().joined(separator: "\n")
    }
}
