import Torch
import Training

/// What a token may go through in place of a feed-forward. Raw values are what choices hold.
public enum DuoModule: Int, Codable, Sendable, CaseIterable {
    /// Nothing is added to the stream.
    case skip = 0
    case small = 1
    case big = 2
}

/// The module that a token takes in each layer, first layer first.
public struct RoutingPath: Codable, Sendable, Hashable {
    public var modules: [DuoModule]

    public init(_ modules: [DuoModule]) { self.modules = modules }

    /// The same module everywhere.
    public init(_ module: DuoModule, layers: Int) { self.init(Array(repeating: module, count: layers)) }

    /// Big modules in the layers of a set, small ones in the others.
    public init(big: Set<Int>, layers: Int) { self.init((0..<layers).map { big.contains($0) ? .big : .small }) }

    /// Layers with a big module: what the path costs.
    public var bigCount: Int { modules.count { $0 == .big } }

    // MARK: Fixed patterns

    public static func first(_ count: Int, of layers: Int) -> RoutingPath { RoutingPath(big: Set(0..<count), layers: layers) }

    public static func last(_ count: Int, of layers: Int) -> RoutingPath {
        RoutingPath(big: Set(layers - count..<layers), layers: layers)
    }

    /// Big modules at even distances.
    public static func spread(_ count: Int, of layers: Int) -> RoutingPath {
        RoutingPath(big: Set((0..<count).map { (2 * $0 + 1) * layers / (2 * count) }), layers: layers)
    }

    // MARK: Sets of paths

    /// Every path with so many big modules, or a random sample where there are more than `most`.
    /// - Parameters:
    ///   - layers: of the model.
    ///   - big: big modules of a path.
    ///   - allowSkip: whether the other layers may be skipped.
    ///   - most: largest number of paths.
    ///   - seed: of the sample.
    public static func all(layers: Int, big: Int, allowSkip: Bool = false, most: Int = 256, seed: UInt64 = 0) -> [RoutingPath] {
        precondition((0...layers).contains(big), "\(big) big modules in \(layers) layers")
        if layers <= 8 {
            let everything: [RoutingPath] = exhaustive(layers: layers, big: big, allowSkip: allowSkip)
            if everything.count <= most { return everything }
        }
        var random: SplitMix64 = SplitMix64(seed: seed)
        var (found, seen): ([RoutingPath], Set<RoutingPath>) = ([], [])
        // Few paths of a long model would be drawn again and again: then fewer than `most` are enough.
        for _ in 0..<20 * most where found.count < most {
            let path: RoutingPath = drawn(layers: layers, big: big, allowSkip: allowSkip, &random)
            if seen.insert(path).inserted { found.append(path) }
        }
        return found
    }

    private static func exhaustive(layers: Int, big: Int, allowSkip: Bool) -> [RoutingPath] {
        let cheap: [DuoModule] = allowSkip ? [.skip, .small] : [.small]
        var paths: [[DuoModule]] = [[]]
        for _ in 0..<layers { paths = paths.flatMap { path in (cheap + [.big]).map { path + [$0] } } }
        return paths.map { RoutingPath($0) }.filter { $0.bigCount == big }
    }

    /// One path with so many big modules, all such paths equally likely.
    static func drawn(layers: Int, big: Int, allowSkip: Bool, _ random: inout SplitMix64) -> RoutingPath {
        var places: [Int] = Array(0..<layers)
        for index in 0..<big { places.swapAt(index, index + Int(random.next(below: UInt64(layers - index)))) }
        var path: RoutingPath = RoutingPath(big: Set(places.prefix(big)), layers: layers)
        guard allowSkip else { return path }
        for index in path.modules.indices where path.modules[index] == .small && random.next(below: 2) == 0 { path.modules[index] = .skip }
        return path
    }

    /// One path of any cost, the module of each layer drawn alone.
    static func drawn(layers: Int, allowSkip: Bool, _ random: inout SplitMix64) -> RoutingPath {
        let modules: [DuoModule] = allowSkip ? DuoModule.allCases : [.small, .big]
        return RoutingPath((0..<layers).map { _ in modules[Int(random.next(below: UInt64(modules.count)))] })
    }
}

extension Tensor {
    /// Paths as choices `[count, L]`, int64.
    convenience init(_ paths: [RoutingPath], device: Device) {
        self.init(paths.flatMap { $0.modules.map(\.rawValue) }, [paths.count, paths.first?.modules.count ?? 0], device: device)
    }
}
