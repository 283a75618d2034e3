/// A public data set: what it is, where it comes from, under which terms, and the files that make it up.
///
/// The catalogue (`DataSource.all`) describes sets; it holds none of their data. `locate` finds a set on this machine,
/// `fetch` downloads it, and neither happens unless asked for.
public struct DataSource: Sendable, Equatable {
    /// The name used on the command line, for example "tinyshakespeare".
    public let name: String
    public let title: String
    /// The page or repository that publishes the set.
    public let homepage: String
    /// The licence as its publisher states it; "none stated" is not a grant.
    public let licence: String
    /// What a user should know before using the set; may be empty.
    public let notes: String
    /// The folder below the data directory; the set's name unless two sets share one.
    public let folder: String
    /// The files without which the set is not usable.
    public let files: [DataFile]
    /// Files that belong to the set but that a machine may lack, because no vetted copy was at hand.
    public let optionalFiles: [DataFile]
    public let archive: DataArchive?

    public init(
        _ name: String, title: String, homepage: String, licence: String, notes: String = "", folder: String? = nil, files: [DataFile] = [],
        optionalFiles: [DataFile] = [], archive: DataArchive? = nil
    ) {
        self.name = name
        self.title = title
        self.homepage = homepage
        self.licence = licence
        self.notes = notes
        self.folder = folder ?? name
        self.files = files
        self.optionalFiles = optionalFiles
        self.archive = archive
    }

    /// The size of what `fetch` downloads, in bytes, as far as it is recorded.
    public var downloadBytes: Int? {
        let sizes = (files + optionalFiles).filter { $0.address != nil }.compactMap(\.bytes) + [archive?.bytes].compactMap { $0 }
        return sizes.isEmpty ? nil : sizes.reduce(0, +)
    }

    /// Whether every part of the set has an address to download it from.
    public var isFetchable: Bool { archive != nil || (!files.isEmpty && files.allSatisfy { $0.address != nil }) }

    /// Every set of the catalogue, by name.
    public static let all: [DataSource] = (text + images + series + audio + tables).sorted { $0.name < $1.name }

    /// The set of that name; an unknown one throws `DataSourceError.unknown` with the nearest names.
    public static func named(_ name: String) throws(DataSourceError) -> DataSource {
        if let source = all.first(where: { $0.name == name }) { return source }
        throw .unknown(name: name, nearest: nearest(to: name, among: all.map(\.name)))
    }

    /// At most three names within a third of the name's length in edits, or containing it, best first.
    static func nearest(to name: String, among candidates: [String]) -> [String] {
        let lower = name.lowercased()
        let scored: [(distance: Int, name: String)] = candidates.map { candidate in
            let related = !lower.isEmpty && (candidate.contains(lower) || lower.contains(candidate))
            return (related ? 0 : editDistance(Array(lower), Array(candidate)), candidate)
        }
        let close = scored.filter { $0.distance <= max(2, name.count / 3) }
        return close.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
    }

    /// Levenshtein's distance, one row at a time.
    private static func editDistance(_ first: [Character], _ second: [Character]) -> Int {
        var row = Array(0...second.count)
        for (index, character) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in second.enumerated() {
                let substituted = diagonal + (character == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(substituted, diagonal + 1, row[column] + 1)
            }
        }
        return row[second.count]
    }
}

/// Why a data set could not be found or fetched.
public enum DataSourceError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknown(name: String, nearest: [String])
    case notFound(name: String, folder: String, missing: String, canFetch: Bool, homepage: String)
    case noAddress(name: String, file: String, homepage: String)
    case wrongDigest(file: String, expected: String, found: String)
    case wrongSize(file: String, expected: Int, found: Int)
    case refused(address: String, status: Int)
    case noNetwork(address: String, reason: String)
    case incompleteArchive(address: String, expected: Int, found: Int)

    public var description: String {
        switch self {
        case .unknown(let name, let nearest):
            let hint = nearest.isEmpty ? "" : "; did you mean \(nearest.joined(separator: ", "))?"
            return "there is no data set '\(name)'\(hint) (linnet data list names all)"
        case .notFound(let name, let folder, let missing, let canFetch, let homepage):
            let remedy = canFetch ? "run 'linnet data fetch \(name)'" : "get it from \(homepage)"
            return "data set '\(name)' is not in \(folder) (\(missing) is missing): \(remedy), or set LINNET_DATA to the folder above it"
        case .noAddress(let name, let file, let homepage):
            return "data set '\(name)': \(file) cannot be downloaded by itself; get it by hand from \(homepage)"
        case .wrongDigest(let file, let expected, let found):
            return "\(file) is not the known copy: its SHA-256 is \(found), expected \(expected)"
        case .wrongSize(let file, let expected, let found):
            return "\(file) has \(found) bytes, expected \(expected)"
        case .refused(let address, let status):
            return "the server answered \(status) for \(address)"
        case .noNetwork(let address, let reason):
            return "cannot download \(address): \(reason)"
        case .incompleteArchive(let address, let expected, let found):
            return "the archive \(address) holds \(found) of the set's files, expected \(expected)"
        }
    }
}
