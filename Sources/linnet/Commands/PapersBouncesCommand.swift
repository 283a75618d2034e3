import ArgumentParser
import Foundation
import Papers
import Training

struct PapersBouncesCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "bounces", abstract: "Take note of digests that came back as mails.",
        discussion: """
            A file is one mail, a folder one with a mail in each file (such as new/ of a Maildir), - is standard input. What is no notice of
            RFC 3464 about a digest that was sent from this catalogue is passed over; a notice counts once. Three digests in a row that
            were not delivered end a subscription.

            Examples:
              linnet papers digest bounces ~/Maildir/new
              cat bounce.eml | linnet papers digest bounces -
            """)

    @OptionGroup var mail: MailOptions
    @Argument(help: "Mails, folders with mails, or - for standard input.")
    var files: [String]

    /// The longest mail that is read; a notice may have the whole digest in it.
    private static let mostBytes: Int = 4 << 20

    func run() async throws {
        let mails: [(name: String, mail: Data)] = try files.flatMap(Self.mails)
        let report: BounceReport = try await mail.service().takeNotice(of: mails)
        try mail.options.show(report) {
            let lines: [String] = report.outcomes.filter { $0.kind != .other && $0.kind != .foreign }.map { outcome in
                "\(outcome.kind.rawValue)\t\(outcome.email ?? "")\t\(outcome.name)\t\(outcome.detail)"
            }
            let counts: [String] = BounceReport.Kind.allCases.compactMap { kind in
                let count: Int = report.outcomes.count { $0.kind == kind }
                return count > 0 ? "\(kind.rawValue): \(count)" : nil
            }
            return (lines + [counts.isEmpty ? "no mail" : counts.joined(separator: ", ")]).joined(separator: "\n")
        }
    }

    private static func mails(_ path: String) throws -> [(name: String, mail: Data)] {
        if path == "-" { return [("standard input", try FileHandle.standardInput.read(upToCount: mostBytes) ?? Data())] }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
            return [(path, try mail(path))]
        }
        let names: [String] = try FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }.sorted()
        return try names.map { "\(path)/\($0)" }.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) && !isFolder.boolValue
        }.map { ($0, try mail($0)) }
    }

    /// The beginning of a longer mail: what a notice says stands before what came back.
    private static func mail(_ path: String) throws -> Data { Data(try readFile(path).prefix(mostBytes)) }
}
