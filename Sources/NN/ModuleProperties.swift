import Torch

/// A parameter (or optional, array or dictionary of them) with the name that checkpoints use for it, where that differs from the
/// property's. An empty key leaves the level out of the names.
///
///     @ParameterInfo(key: "A_log") var decayLogarithm: Tensor
///
/// Assign the property in `init`, before or after `super.init()`.
@propertyWrapper
public final class ParameterInfo<Value>: WrappedMember {
    private let key: String?
    private var value: Value?

    public init(key: String? = nil) { self.key = key }

    public init(wrappedValue: Value, key: String? = nil) {
        self.key = key
        self.wrappedValue = wrappedValue
    }

    public var wrappedValue: Value {
        get {
            guard let value else { preconditionFailure("parameter \(key ?? "") was read before it was assigned") }
            return value
        }
        set {
            value = newValue
            for (_, tensor) in Reflection.tensors(in: newValue) where tensor.dtype.isFloatingPoint { tensor.requiringGrad() }
        }
    }

    func member(named name: String) -> Member {
        .parameter(key ?? name) { [unowned self] in value.map { Reflection.tensors(in: $0) } ?? [] }
    }
}

/// A tensor that belongs to the model's state without being trained: running statistics, fixed frequencies.
@propertyWrapper
public final class Buffer<Value>: WrappedMember {
    private let key: String?
    private var value: Value?

    public init(key: String? = nil) { self.key = key }

    public init(wrappedValue: Value, key: String? = nil) {
        self.key = key
        value = wrappedValue
    }

    public var wrappedValue: Value {
        get {
            guard let value else { preconditionFailure("buffer \(key ?? "") was read before it was assigned") }
            return value
        }
        set { value = newValue }
    }

    func member(named name: String) -> Member {
        .buffer(key ?? name) { [unowned self] in value.map { Reflection.tensors(in: $0) } ?? [] }
    }
}

/// A submodule (or optional, array or dictionary of them) that has another name in checkpoints, or is replaced after construction:
/// a `Linear` by its compressed form, for instance. An empty key leaves the level out of the names.
@propertyWrapper
public final class ModuleInfo<Value>: WrappedMember {
    private let key: String?
    private var value: Value?

    public init(key: String? = nil) { self.key = key }

    public init(wrappedValue: Value, key: String? = nil) {
        self.key = key
        value = wrappedValue
    }

    public var wrappedValue: Value {
        get {
            guard let value else { preconditionFailure("module \(key ?? "") was read before it was assigned") }
            return value
        }
        set { value = newValue }
    }

    func member(named name: String) -> Member {
        .modules(key ?? name) { [unowned self] in
            value.map { Reflection.submodules(in: $0) } ?? []
        } replace: { [unowned self] place, module, commits in
            guard let present = value, let next = Reflection.replacing(place, in: present, by: module) as? Value else { return false }
            if commits { value = next }
            return true
        }
    }
}
