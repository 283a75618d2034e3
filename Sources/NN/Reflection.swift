import Torch

/// What reflection found in a stored property. The closures read the value at the time of the call, so that a wrapped
/// property may be assigned after construction.
enum Member {
    case parameter(String, () -> [(name: String, tensor: Tensor)])
    case buffer(String, () -> [(name: String, tensor: Tensor)])
    /// The last closure puts another module at one of the names, or only says whether it could; nil where the property cannot be assigned.
    case modules(
        String, () -> [(name: String, module: Module)], replace: ((_ place: String, _ module: Module, _ commits: Bool) -> Bool)? = nil)
}

/// A property wrapper that describes itself to ``Module``.
protocol WrappedMember: AnyObject {
    func member(named name: String) -> Member
}

enum Reflection {
    /// The members of a module, subclasses' properties after their superclass's.
    static func members(of module: Module) -> [Member] {
        var levels: [Mirror] = []
        var mirror: Mirror? = Mirror(reflecting: module)
        while let level = mirror, level.subjectType != Module.self {
            levels.append(level)
            mirror = level.superclassMirror
        }
        return levels.reversed().flatMap { $0.children.compactMap { member(label: $0.label ?? "", value: $0.value) } }
    }

    private static func member(label: String, value: Any) -> Member? {
        if let wrapped = value as? any WrappedMember { return wrapped.member(named: String(label.dropFirst())) }
        let tensors: [(name: String, tensor: Tensor)] = tensors(in: value)
        if !tensors.isEmpty { return .parameter(label) { tensors } }
        let modules: [(name: String, module: Module)] = submodules(in: value)
        return modules.isEmpty ? nil : .modules(label) { modules }
    }

    /// Tensors in a property's value: itself, or those of an optional, array or dictionary (in the order of its keys).
    static func tensors(in value: Any) -> [(name: String, tensor: Tensor)] {
        switch value {
        case let tensor as Tensor: [("", tensor)]
        case let tensors as [Tensor]: tensors.enumerated().map { (String($0), $1) }
        case let tensors as [String: Tensor]: tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        default: []
        }
    }

    /// Modules in a property's value: itself, or those of an optional, array or dictionary (in the order of its keys).
    static func submodules(in value: Any) -> [(name: String, module: Module)] {
        if let module = value as? Module { return [("", module)] }
        let mirror: Mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional:
            return mirror.children.first.map { submodules(in: $0.value) } ?? []
        case .collection:
            return mirror.children.enumerated().flatMap { index, child in
                submodules(in: child.value).map { (joined(String(index), $0.name), $0.module) }
            }
        case .dictionary:
            guard let dictionary = value as? [String: Any] else { return [] }
            return dictionary.sorted { $0.key < $1.key }.flatMap { key, element in
                submodules(in: element).map { (joined(key, $0.name), $0.module) }
            }
        default:
            return []
        }
    }

    /// A property's value with another module at one of the places that ``submodules(in:)`` names, or nil where there is no such place.
    static func replacing(_ place: String, in value: Any, by module: Module) -> Any? {
        if place.isEmpty { return module }
        if var elements = value as? [Any], let index = Int(place), elements.indices.contains(index) {
            elements[index] = module
            return elements
        }
        guard var entries = value as? [String: Any], entries[place] != nil else { return nil }
        entries[place] = module
        return entries
    }

    static func joined(_ left: String, _ right: String) -> String {
        left.isEmpty ? right : right.isEmpty ? left : "\(left).\(right)"
    }
}
