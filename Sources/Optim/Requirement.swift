import Torch

/// Checks of settings; each throws a `ConfigurationError` that names the owner, the setting and the range.
struct Requirement {
    private let owner: String

    init(_ owner: String) { self.owner = owner }

    func nonNegative(_ value: Double, _ name: String) throws {
        try check(value >= 0 && value.isFinite, name, value, "has to be at least 0 and finite")
    }

    func positive(_ value: Double, _ name: String) throws {
        try check(value > 0 && value.isFinite, name, value, "has to be above 0 and finite")
    }

    func positive(_ value: Int, _ name: String) throws {
        try check(value > 0, name, value, "has to be at least 1")
    }

    /// In `0 ..< 1`, as the decay of a moving average.
    func decay(_ value: Double, _ name: String) throws {
        try check((0..<1).contains(value), name, value, "has to lie in 0 ..< 1")
    }

    /// In `0 ... 1`.
    func fraction(_ value: Double, _ name: String) throws {
        try check((0...1).contains(value), name, value, "has to lie in 0 ... 1")
    }

    func check<Value>(_ holds: Bool, _ name: String, _ value: Value, _ rule: String) throws {
        if !holds { throw ConfigurationError("\(owner): \(name) is \(value); it \(rule)") }
    }
}
