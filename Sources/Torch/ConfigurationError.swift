/// A setting that cannot be used, as one line: what was wrong, where, and what would be right.
///
/// Thrown for everything that comes from outside: flags, recipes, JSON and the arguments of a configuration's initialiser.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String

    public init(_ description: String) { self.description = description }
}
