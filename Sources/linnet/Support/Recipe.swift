import ArgumentParser
import Foundation
import Yams

/// A YAML file that stands for flags: each key is a flag's name, a list repeats it, `true` sets a switch, a mapping stays YAML.
///
///     mixer: gla
///     dimensions: 128
///     optimizer: {galore: {rank: 32}}
///     text: [shakespeare.txt, more.txt]
///     resume: true
enum Recipe {
    /// The arguments with `--recipe FILE` replaced by what the file says, placed before the other flags so that those win.
    static func expanded(_ arguments: [String]) throws -> [String] {
        // What follows `--` is another command's.
        let own: ArraySlice<String> = arguments.prefix { $0 != "--" }
        guard let place = own.firstIndex(where: { $0 == "--recipe" || $0.hasPrefix("--recipe=") }) else { return arguments }
        var rest: [String] = arguments
        let flag: String = rest.remove(at: place)
        var path: String = String(flag.dropFirst("--recipe=".count))
        if flag == "--recipe" {
            guard place < rest.count else { throw ValidationError("--recipe needs the path of a YAML file") }
            path = rest.remove(at: place)
        }
        let given: Set<String> = Set(rest.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) })
        let flags: [String] = try flags(path).filter { !given.contains($0.name) }.flatMap(\.arguments)
        let commandEnd: Int = rest.firstIndex { $0.hasPrefix("-") } ?? rest.count
        return Array(rest[..<commandEnd]) + flags + Array(rest[commandEnd...])
    }

    private struct Setting {
        let name: String
        let arguments: [String]
    }

    private static func flags(_ path: String) throws -> [Setting] {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw ValidationError("the recipe \(path) cannot be read as a UTF-8 text file")
        }
        let parsed: Node?
        do { parsed = try Yams.compose(yaml: text) } catch { throw ValidationError("the recipe \(path) is not YAML: \(error)") }
        guard let mapping = parsed?.mapping else {
            throw ValidationError("the recipe \(path) has to be a mapping of flag names to values, such as 'mixer: gla'")
        }
        return try mapping.map { key, value in
            guard let name = key.string else { throw ValidationError("the recipe \(path) has a key that is no flag name") }
            return Setting(name: name, arguments: try arguments(name, value, path))
        }
    }

    private static func arguments(_ name: String, _ value: Node, _ path: String) throws -> [String] {
        if value.mapping != nil { return ["--\(name)", try Yams.serialize(node: value)] }
        if let list = value.sequence { return try list.flatMap { try arguments(name, $0, path) } }
        if let scalar = value.scalar, scalar.style == .plain, let truth = value.bool { return truth ? ["--\(name)"] : [] }
        guard let text = value.string else { throw ValidationError("in the recipe \(path), \(name) has to be a value or a list") }
        return ["--\(name)", text]
    }
}
