import NN
import Torch

/// Which tensors of a teacher a student does not take over. Tensors that the teacher has not (the depth-wise convolution, where it has
/// softmax attention) stay as they are in any case.
public enum InheritanceExclusion: String, Codable, Sendable, CaseIterable {
    /// Those of the attention: queries, keys, values, output and convolution. What LiT does.
    case attention
    /// Of the attention the queries, the output and the convolution; its keys and values are taken over.
    case allButKeysAndValues
    /// None: the attention's projections are taken over too.
    case nothing
    /// All: the student keeps its own start.
    case everything
}

/// Gives a student the weights of a fully trained teacher, except those named.
///
/// Source: LiT (arXiv 2501.12976), section 3.2.
/// - Parameters:
///   - teacher: with its averaged weights, if it has any.
///   - student: of the same shape; attention and heads may differ.
///   - excluding: what the student does not take over.
/// - Returns: the names of the tensors that are the teacher's now (of `qkv` that was taken over in part: not).
/// - Throws: `ConfigurationError` for models of different shapes; nothing is changed then.
@discardableResult
public func inherit(from teacher: DiT, into student: DiT, excluding: InheritanceExclusion = .attention) throws -> [String] {
    try checkShapes(teacher.configuration, student.configuration)
    let source: [String: Tensor] = Dictionary(uniqueKeysWithValues: teacher.stateTensors())
    let inherited: [(name: String, target: Tensor)] = student.stateTensors().filter { name, _ in
        source[name] != nil && isInherited(name, excluding)
    }
    noGrad {
        for (name, target) in inherited { target.copy_(from: source[name]!) }
        guard excluding == .allButKeysAndValues else { return }
        let width: Int = student.configuration.dimensions
        for (name, target) in student.stateTensors() where name.contains(".attn.qkv.") {
            guard let values = source[name] else { continue }
            target.narrowed(axis: 0, start: width, length: 2 * width).copy_(
                from: values.narrowed(axis: 0, start: width, length: 2 * width))
        }
    }
    return inherited.map(\.name)
}

private func isInherited(_ name: String, _ excluding: InheritanceExclusion) -> Bool {
    switch excluding {
    case .nothing: true
    case .everything: false
    case .attention, .allButKeysAndValues: !name.contains(".attn.")
    }
}

private func checkShapes(_ teacher: DiTConfiguration, _ student: DiTConfiguration) throws {
    let pairs: [(String, Int, Int)] = [
        ("imageSize", teacher.imageSize, student.imageSize), ("patchSize", teacher.patchSize, student.patchSize),
        ("channels", teacher.channels, student.channels), ("classes", teacher.classes, student.classes),
        ("dimensions", teacher.dimensions, student.dimensions), ("depth", teacher.depth, student.depth),
        ("feedForwardRatio", teacher.feedForwardRatio, student.feedForwardRatio),
        ("diffusionSteps", teacher.diffusionSteps, student.diffusionSteps),
    ]
    if let (name, left, right) = pairs.first(where: { $0.1 != $0.2 }) {
        throw ConfigurationError("the teacher's \(name) is \(left) and the student's \(right); inheritance and distillation need the same")
    }
}
