import Torch

/// One parameter with its state.
final class ParameterSlot {
    let name: String
    let parameter: Tensor
    let group: Int
    let shape: [Int]
    private let dtype: DType
    private let device: Device
    /// In the order of the rule's state names; empty before the first update.
    var state: [Tensor] = []
    var stepCount: Int = 0
    /// Whether the rule's fallback updates it.
    var usesFallback: Bool = false

    init(name: String, parameter: Tensor, group: Int) {
        self.name = name
        self.parameter = parameter
        self.group = group
        shape = parameter.shape
        dtype = parameter.dtype
        device = parameter.device
    }

    /// The type that updates are computed in.
    var workingDType: DType { dtype == .float64 ? .float64 : .float32 }

    /// What may be updated together.
    var key: Key {
        Key(
            group: group, usesFallback: usesFallback, device: device.description, dtype: workingDType, stepCount: stepCount,
            stateCount: state.count)
    }

    struct Key: Hashable {
        let group: Int
        let usesFallback: Bool
        let device: String
        let dtype: DType
        let stepCount: Int
        let stateCount: Int
    }

    /// The parameter, or a contiguous copy in the working type, which is to be written back.
    func workingCopy() -> Tensor {
        precondition(
            parameter.dtype == dtype && parameter.device == device,
            "parameter \(name) changed its dtype or device after the optimizer was made; make the optimizer last")
        return parameter.asType(workingDType).contiguous()
    }

    /// The gradient, contiguous and in the working type. Traps where it has another shape than the parameter.
    func workingGradient(_ gradient: Tensor) -> Tensor {
        precondition(gradient.shape == shape, "a gradient of shape \(gradient.shape) for parameter \(name) of shape \(shape)")
        return gradient.asType(workingDType).contiguous()
    }

    /// - Throws: `ConfigurationError` for a parameter or name that comes twice, or a parameter that no optimizer can update.
    static func slots(of groups: [ParameterGroup]) throws -> [ParameterSlot] {
        var slots: [ParameterSlot] = []
        var names: Set<String> = []
        var owners: [ObjectIdentifier: String] = [:]
        for (number, group) in groups.enumerated() {
            for (index, parameter) in group.parameters.enumerated() {
                let name: String = group.names?[index] ?? String(slots.count)
                if !parameter.dtype.isFloatingPoint {
                    throw ConfigurationError("parameter \(name) is \(parameter.dtype); optimizers update real floating-point tensors")
                }
                if !names.insert(name).inserted {
                    throw ConfigurationError("two parameters are called \"\(name)\"; each needs a name of its own")
                }
                if let other = owners.updateValue(name, forKey: ObjectIdentifier(parameter)) {
                    throw ConfigurationError("\"\(other)\" and \"\(name)\" are the same tensor; give a shared parameter once")
                }
                slots.append(ParameterSlot(name: name, parameter: parameter, group: number))
            }
        }
        return slots
    }
}
