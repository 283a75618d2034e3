import Torch

/// A part of a model: parameters, buffers and submodules, found by reflection when the instance is constructed.
///
/// A subclass assigns its stored properties and then calls `super.init()`, which reads them once:
/// - a `Tensor` (or `Tensor?`) is a parameter, named after the property, and an array or dictionary of tensors as many: `weights.0`;
/// - a `Module`, an optional, array or dictionary of modules is a submodule: `blocks.3.mixer.weight`;
/// - ``ParameterInfo``, ``Buffer`` and ``ModuleInfo`` wrap a property to give it another checkpoint name, to keep it from being
///   trained, or to let it be replaced later.
///
/// Everything else is ignored. A module is called as a function: each layer defines its own `callAsFunction`.
open class Module {
    private(set) var members: [Member] = []

    /// Whether the module is being trained; dropout and batch statistics look at it. Set with ``train(_:)``.
    public private(set) var isTraining: Bool = true

    public init() {
        members = Reflection.members(of: self)
        for (_, tensor) in directParameters() where tensor.dtype.isFloatingPoint { tensor.requiringGrad() }
    }

    // MARK: Structure

    /// Direct submodules and their names, in the order of declaration.
    public var children: [(name: String, module: Module)] {
        members.flatMap { member -> [(String, Module)] in
            if case .modules(let name, let read, _) = member { return read().map { (Reflection.joined(name, $0), $1) } }
            return []
        }
    }

    /// This module (under the empty name) and all below it, parents first.
    public func namedModules(prefix: String = "") -> [(name: String, module: Module)] {
        [(prefix, self)] + children.flatMap { $1.namedModules(prefix: Reflection.joined(prefix, $0)) }
    }

    /// The parameters that this module itself holds, without those of its submodules.
    public func directParameters() -> [(name: String, tensor: Tensor)] { own { if case .parameter = $0 { true } else { false } } }

    private func directBuffers() -> [(name: String, tensor: Tensor)] { own { if case .buffer = $0 { true } else { false } } }

    private func own(where chosen: (Member) -> Bool) -> [(name: String, tensor: Tensor)] {
        members.filter(chosen).flatMap { member -> [(name: String, tensor: Tensor)] in
            switch member {
            case .parameter(let name, let read), .buffer(let name, let read): read().map { (Reflection.joined(name, $0), $1) }
            case .modules: []
            }
        }
    }

    /// Parameters of this module and all below, by dotted name. A tensor shared between places is listed once, under its first name.
    public func namedParameters() -> [(name: String, tensor: Tensor)] { collected { $0.directParameters() } }

    /// Tensors that are saved with the model but not trained.
    public func namedBuffers() -> [(name: String, tensor: Tensor)] { collected { $0.directBuffers() } }

    private func collected(_ own: (Module) -> [(name: String, tensor: Tensor)]) -> [(name: String, tensor: Tensor)] {
        var seen: Set<ObjectIdentifier> = []
        return namedModules().flatMap { path, module in
            own(module).filter { seen.insert(ObjectIdentifier($0.tensor)).inserted }.map { (Reflection.joined(path, $0.name), $0.tensor) }
        }
    }

    public func parameters() -> [Tensor] { namedParameters().map(\.tensor) }

    /// The parameters that are not frozen.
    public func trainableParameters() -> [Tensor] { parameters().filter(\.requiresGrad) }

    /// Number of elements of all parameters.
    public var parameterCount: Int { parameters().reduce(0) { $0 + $1.count } }

    /// Puts another module in the place of the one with this dotted path, for instance a compressed layer for a plain one.
    ///
    /// The property that holds it has to be a ``ModuleInfo`` whose type admits the new module. Traps where there is no such place.
    public func replaceModule(at path: String, with module: Module) {
        precondition(replaceModuleIfPossible(at: path, with: module), "no replaceable module \(path) that admits a \(type(of: module))")
    }

    /// As ``replaceModule(at:with:)`` for a path from a file: false where there is no such place, and nothing is changed.
    public func replaceModuleIfPossible(at path: String, with module: Module) -> Bool { replaced(path, by: module, commits: true) }

    /// Whether ``replaceModule(at:with:)`` would find a place that admits the module.
    public func canReplaceModule(at path: String, with module: Module) -> Bool { replaced(path, by: module, commits: false) }

    private func replaced(_ path: String, by module: Module, commits: Bool) -> Bool {
        for case .modules(let name, let read, let replace) in members {
            for (place, child) in read() {
                let full: String = Reflection.joined(name, place)
                if path == full { return replace?(place, module, commits) ?? false }
                let inside: String? = full.isEmpty ? path : path.hasPrefix("\(full).") ? String(path.dropFirst(full.count + 1)) : nil
                if let inside, child.replaced(inside, by: module, commits: commits) { return true }
            }
        }
        return false
    }

    // MARK: Modes

    /// Switches this module and all below between training and evaluation.
    @discardableResult
    public func train(_ training: Bool = true) -> Self {
        for (_, module) in namedModules() { module.isTraining = training }
        return self
    }

    /// Stops training the parameters whose dotted name satisfies `chosen` (all of them by default).
    public func freeze(where chosen: (String) -> Bool = { _ in true }) { setTrainable(false, where: chosen) }

    public func unfreeze(where chosen: (String) -> Bool = { _ in true }) { setTrainable(true, where: chosen) }

    private func setTrainable(_ trainable: Bool, where chosen: (String) -> Bool) {
        for (name, tensor) in namedParameters() where chosen(name) && tensor.dtype.isFloatingPoint { tensor.requiringGrad(trainable) }
    }

    // MARK: Changing values

    /// Replaces every parameter and buffer by what `transform` makes of it, keeping who is trained.
    public func apply(_ transform: (Tensor) -> Tensor) {
        for (_, tensor) in namedParameters() + namedBuffers() {
            let trained: Bool = tensor.requiresGrad
            tensor.replace(with: noGrad { transform(tensor.detached()) })
            if trained { tensor.requiringGrad() }
        }
    }

    /// Moves floating parameters and buffers to a dtype, and everything to a device.
    @discardableResult
    public func to(dtype: DType? = nil, device: Device? = nil) -> Self {
        apply { tensor in
            tensor.to(device: device ?? tensor.device, dtype: tensor.dtype.isFloatingPoint ? dtype : nil)
        }
        return self
    }

    /// Writes new values into the named parameters and buffers, in place. Traps for an unknown name or another shape;
    /// for checkpoints use ``load(_:mode:)``, which throws.
    public func update(parameters: [String: Tensor]) {
        let known: [String: Tensor] = Dictionary(uniqueKeysWithValues: stateTensors())
        noGrad {
            for (name, value) in parameters {
                guard let target = known[name] else { preconditionFailure("no parameter or buffer \(name)") }
                precondition(target.shape == value.shape, "\(name) has shape \(target.shape), not \(value.shape)")
                target.copy_(from: value)
            }
        }
    }

    /// Everything that a checkpoint holds: parameters, then buffers, by dotted name.
    public func stateTensors() -> [(String, Tensor)] { (namedParameters() + namedBuffers()).map { ($0.name, $0.tensor) } }
}

/// A module from one tensor to one tensor, so that it can stand in a ``Sequential``.
public protocol UnaryLayer: Module {
    func callAsFunction(_ x: Tensor) -> Tensor
}

/// The value of `loss` and its gradients with respect to the model's trainable parameters, in their order.
public func valueAndGrad(of model: Module, _ loss: () throws -> Tensor) rethrows -> (value: Tensor, gradients: [Tensor]) {
    try valueAndGrad(of: model.trainableParameters(), loss)
}
