import NN
import Optim
import Torch

/// How a model lies on the ranks that share it: what a training has to know of a model of which each rank holds pieces of some parameters.
public protocol ModelDivision {
    /// The ranks that share the model.
    var group: ProcessGroup { get }

    /// Whether each rank holds a piece of the parameter; otherwise all hold it whole.
    func isDivided(_ name: String) -> Bool

    /// Whether all ranks hold the parameter but each sees a share of its gradient.
    func isPartial(_ name: String) -> Bool

    /// The whole parameter, or tensor of its shape, of which the ranks hold pieces; all have to call.
    /// - Throws: ``DistributedError``.
    func whole(_ piece: Tensor, named name: String) throws -> Tensor

    /// This rank's piece of a parameter or of a tensor of its shape.
    /// - Throws: an error where the ranks do not divide it.
    func piece(of tensor: Tensor, named name: String) throws -> Tensor
}

extension ModelDivision {
    // MARK: Gradients

    /// Sums the gradients of which every rank sees a share, in place; all have to call.
    /// - Throws: ``DistributedError``.
    public func sumShares(of gradients: [Tensor?], named names: [String]) throws {
        for (gradient, name) in zip(gradients, names) where isPartial(name) {
            if let gradient { try group.allReduce(gradient, .sum) }
        }
    }

    /// The 2-norm of the whole model's gradients: pieces are summed over the ranks, what every rank holds is counted once. All have to call.
    /// - Throws: ``DistributedError``.
    public func norm(of gradients: [Tensor?], named names: [String]) throws -> Double {
        func square(_ divided: Bool) -> Double {
            let norm: Double = globalNorm(zip(gradients, names).filter { isDivided($1) == divided }.map(\.0))
            return norm * norm
        }
        let pieces: Tensor = Tensor([square(true)], [1], dtype: .float64, device: .cpu)
        try group.allReduce(pieces, .sum)
        return (square(false) + pieces.item(Double.self)).squareRoot()
    }

    /// Lets an optimizer see the norms of whole parameters where it has pieces.
    /// - Throws: `ConfigurationError` for one whose steps on pieces are not those on the whole.
    public func prepare(_ optimizer: any Optimizer) throws {
        if group.worldSize == 1 { return }
        guard let pieces = optimizer as? any PieceOptimizer, optimizer.configuration.worksOnPieces else {
            throw ConfigurationError(
                "the model is divided among ranks, and \(type(of: optimizer.configuration)) looks at whole matrices; take adamw, lamb or another optimizer that does not"
            )
        }
        pieces.pieceSums = pieceSums
    }

    private func pieceSums(_ squares: Tensor, _ names: [String]) -> Tensor {
        let divided: Tensor = Tensor(names.map { isDivided($0) ? 1 : 0 }, [names.count], dtype: squares.dtype, device: squares.device)
        let sums: Tensor = (squares * divided).contiguous()
        reportingFailure("norms of divided parameters") { try group.allReduce(sums, .sum) }
        return sums + squares * (1 - divided)
    }

    // MARK: State

    /// The parameters and buffers of the undivided model, under its names, on every rank; all have to call.
    /// - Throws: ``DistributedError``.
    public func wholeState(of model: Module) throws -> [String: Tensor] {
        var state: [String: Tensor] = [:]
        for (name, tensor) in model.stateTensors() { state[name] = try whole(tensor, named: name) }
        return state
    }

    /// Loads the parameters of an undivided model into this rank's share.
    /// - Throws: `CheckpointDifference` where names or shapes do not fit; what ``piece(of:named:)`` throws.
    public func load(_ state: [String: Tensor], into model: Module) throws {
        var pieces: [String: Tensor] = [:]
        for (name, tensor) in state { pieces[name] = try piece(of: tensor, named: name) }
        try model.load(pieces)
    }

    /// State of an optimizer or an average as it would be of the undivided model; all have to call.
    /// - Parameters:
    ///   - state: tensors called by a parameter's name, or by that and more after a dot.
    ///   - shapes: of this rank's parameters.
    /// - Throws: `ConfigurationError` for a tensor of a divided parameter that is not shaped like it; ``DistributedError``.
    func wholeState(_ state: [String: Tensor], shapes: [String: [Int]]) throws -> [String: Tensor] {
        try converted(state, shapes) { try whole($0, named: $1) }
    }

    /// This rank's part of such a state.
    /// - Parameter shapes: of the undivided parameters.
    package func pieces(of state: [String: Tensor], shapes: [String: [Int]]) throws -> [String: Tensor] {
        try converted(state, shapes) { try piece(of: $0, named: $1) }
    }

    private func converted(
        _ state: [String: Tensor], _ shapes: [String: [Int]], _ convert: (Tensor, String) throws -> Tensor
    ) throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        // In one order on all ranks, since putting together is collective.
        for name in state.keys.sorted() {
            let tensor: Tensor = state[name]!
            guard let owner = Self.owner(of: name, among: shapes), let shape = shapes[owner] else {
                result[name] = tensor
                continue
            }
            if tensor.shape == shape {
                result[name] = try convert(tensor, owner)
            } else if tensor.ndim == 0 || !isDivided(owner) {
                // A number of a parameter, such as its trust ratio, is the same on all ranks.
                result[name] = tensor
            } else {
                throw ConfigurationError("\(name) is shaped \(tensor.shape) and its parameter \(shape), which is divided among ranks")
            }
        }
        return result
    }

    /// The parameter that a state tensor belongs to: the longest that its name begins with.
    package static func owner(of name: String, among shapes: [String: [Int]]) -> String? {
        var candidate: Substring = name[...]
        while true {
            if shapes[String(candidate)] != nil { return String(candidate) }
            guard let dot = candidate.lastIndex(of: ".") else { return nil }
            candidate = candidate[..<dot]
        }
    }
}
