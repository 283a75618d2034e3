import Experiments
import Foundation

/// Why reports cannot be read.
public enum ResultsError: Error, CustomStringConvertible, Equatable, Sendable {
    case missing(path: String)
    case noReports(folder: String)
    case notAReport(path: String, reason: String)
    case unknownReport(slug: String, folder: String, known: [String])
    case differentPapers(String, String)

    public var description: String {
        switch self {
        case .missing(let path): "there is no file or folder \(path); give a report such as results/gla.small.json, or a folder of reports"
        case .noReports(let folder): "there is no report SLUG.SCALE.json in \(folder); write some with `linnet reproduce`"
        case .notAReport(let path, let reason): "\(path) is not a report: \(reason)"
        case .unknownReport(let slug, let folder, let known):
            "there is no report of \(slug) in \(folder); the slugs are \(known.joined(separator: ", "))"
        case .differentPapers(let first, let second): "a report of \(first) and one of \(second) cannot be compared"
        }
    }
}

/// Reports as `linnet reproduce` keeps them: `SLUG.SCALE.json` in one folder.
public enum ReportFolder {
    /// The reports of a folder by slug and scale; other files than `.json` are passed over.
    ///
    /// - Throws: ``ResultsError`` when a file is no report or is not named after it.
    public static func load(_ folder: String) throws -> [Report] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { throw ResultsError.missing(path: folder) }
        let files: [String] = names.filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
        let reports: [Report] = try files.map { name in
            let report: Report = try report("\(folder)/\(name)")
            guard name == report.fileName else {
                throw ResultsError.notAReport(path: "\(folder)/\(name)", reason: "what is in it has to be named \(report.fileName)")
            }
            return report
        }
        let order: [Scale] = Scale.allCases
        func place(_ report: Report) -> Int { order.firstIndex(of: report.scale) ?? 0 }
        return reports.sorted { ($0.slug, place($0)) < ($1.slug, place($1)) }
    }

    /// The report in a file.
    ///
    /// - Throws: ``ResultsError``.
    public static func report(_ path: String) throws -> Report {
        guard let data = FileManager.default.contents(atPath: path) else { throw ResultsError.missing(path: path) }
        do { return try Report.decode(data) } catch {
            throw ResultsError.notAReport(path: path, reason: WorkerMessage.displayable("\(error)"))
        }
    }

    /// The report in a file, or those of a folder.
    static func loadAny(_ path: String) throws -> [Report] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { throw ResultsError.missing(path: path) }
        return isFolder.boolValue ? try load(path) : [try report(path)]
    }
}

extension Report {
    /// Name of the file that a report is kept in.
    var fileName: String { "\(slug).\(scale.rawValue).json" }

    /// "gla at small".
    var title: String { "\(slug) at \(scale.rawValue)" }
}
